// Every kind of object that names the executor of its context moves into the one that does not.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "rivals.hpp"

using namespace test;

namespace {

/// Plain object types move from those of the context's executor, and not into them.
template <class Loop, class Plain>
using own = typename Plain::template rebind_executor<typename Loop::executor_type>::other;

template <class Loop, class Plain>
constexpr void check_directions() {
    static_assert(std::is_constructible_v<Plain, own<Loop, Plain>>);
    static_assert(std::is_assignable_v<Plain&, own<Loop, Plain>>);
    static_assert(!std::is_constructible_v<own<Loop, Plain>, Plain>);
    static_assert(!std::is_assignable_v<own<Loop, Plain>&, Plain>);
}

/// By construction and by assignment, with nothing in them.
template <class Plain, class Loop>
void check_empty(Loop& loop) {
    check_directions<Loop, Plain>();
    Plain plain{own<Loop, Plain>(loop.context())};
    plain = own<Loop, Plain>(loop.context());
    if constexpr (requires { plain.is_open(); }) {
        BOOST_TEST(!plain.is_open());
    }
    BOOST_TEST((plain.get_executor() == asio::any_io_executor(loop.executor())));
}

/// By construction and by assignment, with the descriptor that `open` puts in.
template <class Plain, class Loop, class Open>
void check_open(Loop& loop, Open open) {
    check_empty<Plain>(loop);
    own<Loop, Plain> first(loop.context());
    open(first);
    const auto descriptor = first.native_handle();
    Plain plain(std::move(first));
    BOOST_TEST(!first.is_open());
    BOOST_TEST(plain.is_open());
    BOOST_TEST(plain.native_handle() == descriptor);

    own<Loop, Plain> second(loop.context());
    open(second);
    const auto another = second.native_handle();
    plain = std::move(second);
    BOOST_TEST(!second.is_open());
    BOOST_TEST(plain.native_handle() == another);
    BOOST_TEST(::fcntl(descriptor, F_GETFD) == -1);  // what was in it is closed
}

template <class Plain, class Loop, class Protocol>
void check_socket(Loop& loop, const Protocol& protocol) {
    check_open<Plain>(loop, [&](auto& s) { s.open(protocol); });
}

template <class Plain, class Loop>
void check_timer(Loop& loop) {
    check_directions<Loop, Plain>();
    using clock = typename Plain::clock_type;
    const auto expiry = clock::now() + std::chrono::milliseconds(2);
    Plain plain{own<Loop, Plain>(loop.context(), expiry)};
    BOOST_TEST((plain.expiry() == expiry));
    outcome expired;
    plain.async_wait(into(expired));
    loop.run();
    BOOST_TEST(expired == done());
    BOOST_TEST((clock::now() >= expiry));

    plain = own<Loop, Plain>(loop.context(), expiry);
    outcome at_once;
    plain.async_wait(into(at_once));
    loop.run();
    BOOST_TEST(at_once == done());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(takeover_kinds)

RUNG_RIVAL_CASE(sockets_of_every_kind) {
    check_socket<asio::ip::tcp::socket>(loop, asio::ip::tcp::v4());
    check_socket<asio::ip::udp::socket>(loop, asio::ip::udp::v4());
    check_socket<asio::local::stream_protocol::socket>(loop, asio::local::stream_protocol());
    check_socket<asio::local::datagram_protocol::socket>(loop, asio::local::datagram_protocol());
    check_socket<asio::generic::stream_protocol::socket>(
        loop, asio::generic::stream_protocol(asio::ip::tcp::v4()));
    check_socket<asio::generic::datagram_protocol::socket>(
        loop, asio::generic::datagram_protocol(asio::ip::udp::v4()));
    check_socket<asio::generic::seq_packet_protocol::socket>(
        loop, asio::generic::seq_packet_protocol(AF_UNIX, 0));
    check_empty<asio::generic::raw_protocol::socket>(loop);  // to open one takes a privilege
    check_empty<asio::ip::icmp::socket>(loop);
}

RUNG_RIVAL_CASE(a_stream_goes_on_where_it_was) {
    auto [near, far] = local_pair(loop);
    far.send(asio::buffer("ab", 2));
    char bytes[2];
    near.receive(asio::buffer(bytes, 1));
    local_stream::socket plain(std::move(near));
    outcome got;
    plain.async_receive(asio::buffer(bytes + 1, 1), into(got));
    loop.run();
    BOOST_TEST(got == done(1));
    BOOST_TEST(std::string(bytes, 2) == "ab");
}

RUNG_RIVAL_CASE(acceptors) {
    const auto open = [](auto& a) {
        a.open(tcp::v4());
        a.bind({asio::ip::address_v4::loopback(), 0});
        a.listen();
    };
    check_open<tcp::acceptor>(loop, open);
    check_open<local_stream::acceptor>(loop, [](auto& a) { a.open(); });

    typename Loop::tcp_acceptor first(loop.context());
    open(first);
    tcp::acceptor plain(std::move(first));
    tcp::socket client(loop.context());
    tcp::socket peer(loop.context());
    outcome accepted;
    outcome connected;
    plain.async_accept(peer, into(accepted));
    client.async_connect(plain.local_endpoint(), into(connected));
    loop.run();
    BOOST_TEST(accepted == done());
    BOOST_TEST(connected == done());
}

RUNG_RIVAL_CASE(timers_of_every_clock) {
    check_timer<asio::steady_timer>(loop);
    check_timer<asio::system_timer>(loop);
    check_timer<asio::high_resolution_timer>(loop);
}

RUNG_RIVAL_CASE(descriptors_and_pipes) {
    const auto open = [](auto& d) { d.assign(::open("/dev/null", O_RDWR | O_CLOEXEC)); };
    check_open<asio::posix::stream_descriptor>(loop, open);
    check_empty<asio::readable_pipe>(loop);
    check_empty<asio::writable_pipe>(loop);

    const auto through = [&](auto in, auto out) {
        outcome wrote;
        outcome read;
        char byte = 0;
        asio::async_write(out, asio::buffer("z", 1), into(wrote));
        asio::async_read(in, asio::buffer(&byte, 1), into(read));
        loop.run();
        BOOST_TEST(wrote == done(1));
        BOOST_TEST(read == done(1));
        BOOST_TEST(byte == 'z');
    };
    own<Loop, asio::readable_pipe> in(loop.context());
    own<Loop, asio::writable_pipe> out(loop.context());
    asio::connect_pipe(in, out);
    through(asio::readable_pipe(std::move(in)), asio::writable_pipe(std::move(out)));
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    using descriptor = asio::posix::stream_descriptor;
    through(descriptor(own<Loop, descriptor>(loop.context(), ends[0])),
            descriptor(own<Loop, descriptor>(loop.context(), ends[1])));
}

RUNG_RIVAL_CASE(serial_ports) {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    BOOST_REQUIRE(::grantpt(master) == 0);
    BOOST_REQUIRE(::unlockpt(master) == 0);
    const std::string device = ::ptsname(master);
    check_open<asio::serial_port>(loop, [&](auto& p) { p.open(device); });

    asio::serial_port plain(own<Loop, asio::serial_port>(loop.context(), device));
    plain.set_option(asio::serial_port::baud_rate(19200));
    outcome read;
    outcome wrote;
    char byte = 0;
    asio::async_read(plain, asio::buffer(&byte, 1), into(read));
    loop.poll();
    BOOST_TEST(::write(master, "s", 1) == 1);
    asio::async_write(plain, asio::buffer("t", 1), into(wrote));
    loop.run();
    BOOST_TEST(read == done(1));
    BOOST_TEST(wrote == done(1));
    BOOST_TEST(byte == 's');
    BOOST_TEST(::read(master, &byte, 1) == 1);
    BOOST_TEST(byte == 't');
    ::close(master);
}

RUNG_RIVAL_CASE(resolvers) {
    check_empty<asio::ip::udp::resolver>(loop);
    check_empty<asio::ip::icmp::resolver>(loop);
    check_empty<tcp::resolver>(loop);
    tcp::resolver plain{own<Loop, tcp::resolver>(loop.context())};
    outcome found;
    plain.async_resolve("127.0.0.1", "80",
                        tcp::resolver::numeric_host | tcp::resolver::numeric_service,
                        [&](error_code ec, const tcp::resolver::results_type& results) {
                            into(found)(ec, results.size());
                        });
    loop.run();
    BOOST_TEST(found == done(1));
    plain = own<Loop, tcp::resolver>(loop.context());
}

RUNG_RIVAL_CASE(signal_sets_do_not_move) {
    using plain = asio::signal_set;
    static_assert(!std::is_move_constructible_v<plain>);
    static_assert(!std::is_constructible_v<plain, own<Loop, plain>>);
    static_assert(!std::is_assignable_v<plain&, own<Loop, plain>>);
    own<Loop, plain> set(loop.context(), SIGUSR2);
    outcome cancelled;
    set.async_wait([&](error_code ec, int) { into(cancelled)(ec); });
    set.cancel();
    loop.run();
    BOOST_TEST(cancelled == failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(a_lookup_of_ours_ends_when_its_resolver_is_taken_over) {
    rung::io_context context;
    rung::native<tcp::resolver> native(context);
    error_code ended;
    native.async_resolve("localhost", "1", [&](error_code ec, const auto&) { ended = ec; });
    const tcp::resolver guest(std::move(native));
    context.run();
    BOOST_TEST(ended == asio::error::operation_aborted);
}

BOOST_AUTO_TEST_SUITE_END()
