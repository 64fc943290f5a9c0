// The synchronous members of stream sockets, and what they answer to misuse.

#include <sys/ioctl.h>
#include <unistd.h>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

using buffers = std::vector<asio::mutable_buffer>;

RUNG_RIVAL_CASE(a_socket_opens_once_and_closes_twice) {
    typename Loop::tcp_socket s(loop.context());
    BOOST_TEST(!s.is_open());
    s.open(tcp::v4());
    BOOST_TEST(s.is_open());
    BOOST_TEST(s.native_handle() >= 0);
    error_code ec;
    s.open(tcp::v4(), ec);
    BOOST_TEST(ec == error_code(error::already_open));
    s.assign(tcp::v4(), 0, ec);
    BOOST_TEST(ec == error_code(error::already_open));
    s.close();
    BOOST_TEST(!s.is_open());
    s.close();
    s.open(tcp::v6(), ec);
    BOOST_TEST((!ec || ec == error_code(error::address_family_not_supported)));
}

template <class Socket>
void check_sync_calls_on_closed(Socket& s) {
    char byte = 0;
    const auto one = asio::buffer(&byte, 1);
    error_code ec;
    const auto is_bad = [&](auto&&...) { return ec == error_code(error::bad_descriptor); };
    BOOST_TEST(is_bad(s.send(one, 0, ec)));
    BOOST_TEST(is_bad(s.receive(one, 0, ec)));
    BOOST_TEST(is_bad(s.write_some(one, ec)));
    BOOST_TEST(is_bad(s.read_some(one, ec)));
    BOOST_TEST(is_bad((s.bind({}, ec), 0)));
    BOOST_TEST(is_bad(s.local_endpoint(ec)));
    BOOST_TEST(is_bad(s.remote_endpoint(ec)));
    BOOST_TEST(is_bad(s.available(ec)));
    BOOST_TEST(is_bad(s.at_mark(ec)));
    BOOST_TEST(is_bad((s.cancel(ec), 0)));
    BOOST_TEST(is_bad(s.release(ec)));
    BOOST_TEST(is_bad((s.shutdown(Socket::shutdown_both, ec), 0)));
    BOOST_TEST(is_bad((s.non_blocking(true, ec), 0)));
    BOOST_TEST(is_bad((s.native_non_blocking(true, ec), 0)));
    BOOST_TEST(is_bad((s.wait(Socket::wait_read, ec), 0)));
    BOOST_TEST(is_bad((s.wait(Socket::wait_write, ec), 0)));
    BOOST_TEST(is_bad((s.wait(Socket::wait_error, ec), 0)));
    BOOST_TEST(is_bad((s.set_option(tcp::no_delay(true), ec), 0)));
    tcp::no_delay option;
    BOOST_TEST(is_bad((s.get_option(option, ec), 0)));
    asio::socket_base::bytes_readable command;
    BOOST_TEST(is_bad((s.io_control(command, ec), 0)));
}

RUNG_RIVAL_CASE(every_member_of_a_closed_socket_says_so) {
    typename Loop::tcp_socket s(loop.context());
    check_sync_calls_on_closed(s);
    s.open(tcp::v4());
    s.close();
    check_sync_calls_on_closed(s);

    char byte = 0;
    outcome sent;
    outcome received;
    outcome waited;
    outcome nothing;
    s.async_send(asio::buffer(&byte, 1), into(sent));
    s.async_receive(asio::buffer(&byte, 1), into(received));
    s.async_wait(s.wait_read, into(waited));
    s.async_send(asio::buffer(&byte, 0), into(nothing));
    loop.run();
    BOOST_TEST(sent == failed(error::bad_descriptor));
    BOOST_TEST(received == failed(error::bad_descriptor));
    BOOST_TEST(waited == failed(error::bad_descriptor));
    BOOST_TEST(nothing == failed(error::bad_descriptor));
}

RUNG_RIVAL_CASE(a_descriptor_that_is_not_open_cannot_be_assigned) {
    typename Loop::tcp_socket s(loop.context());
    error_code ec;
    s.assign(tcp::v4(), 987'654, ec);
    BOOST_TEST(ec == error_code(error::bad_descriptor));
    BOOST_TEST(!s.is_open());
    s.assign(tcp::v4(), -1, ec);
    BOOST_TEST(ec == error_code(error::bad_descriptor));
    BOOST_TEST(!s.is_open());
    const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
    s.assign(tcp::v4(), descriptor);
    BOOST_TEST(s.native_handle() == descriptor);
    BOOST_TEST(s.release() == descriptor);
    BOOST_TEST(!s.is_open());
    BOOST_TEST(::close(descriptor) == 0);
}

RUNG_RIVAL_CASE(endpoints_and_bind_tell_what_the_kernel_tells) {
    auto [a, b] = tcp_pair(loop);
    BOOST_TEST(a.local_endpoint() == b.remote_endpoint());
    BOOST_TEST(a.remote_endpoint() == b.local_endpoint());

    typename Loop::tcp_socket s(loop.context(), tcp::endpoint(tcp::v4(), 0));
    BOOST_TEST(s.local_endpoint().port() != 0);
    error_code ec;
    s.remote_endpoint(ec);
    BOOST_TEST(ec == error_code(error::not_connected));
    s.bind(tcp::endpoint(tcp::v4(), 0), ec);
    BOOST_TEST(ec == error_code(error::invalid_argument));
    typename Loop::tcp_socket other(loop.context(), tcp::v4());
    other.bind(s.local_endpoint(), ec);
    BOOST_TEST(ec == error_code(error::address_in_use));
    other.shutdown(other.shutdown_both, ec);
    BOOST_TEST(ec == error_code(error::not_connected));
}

RUNG_RIVAL_CASE(options_are_set_and_read_back) {
    using base = asio::socket_base;
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    const auto round_trip = [&](auto option) {
        s.set_option(option);
        decltype(option) back;
        s.get_option(back);
        return back.value();
    };
    BOOST_TEST(round_trip(tcp::no_delay(true)));
    BOOST_TEST(round_trip(base::keep_alive(true)));
    BOOST_TEST(round_trip(base::reuse_address(true)));
    BOOST_TEST(round_trip(base::do_not_route(true)));
    BOOST_TEST(round_trip(base::out_of_band_inline(true)));
    BOOST_TEST(round_trip(base::enable_connection_aborted(true)));
    BOOST_TEST(round_trip(base::send_buffer_size(32'768)) >= 32'768);
    BOOST_TEST(round_trip(base::receive_buffer_size(32'768)) >= 32'768);
    s.set_option(base::linger(true, 7));
    base::linger linger;
    s.get_option(linger);
    BOOST_TEST(linger.enabled());
    BOOST_TEST(linger.timeout() == 7);
    s.set_option(base::linger(false, 0));

    error_code ec;
    s.set_option(asio::ip::v6_only(true), ec);
    BOOST_TEST(ec == error_code(error::no_protocol_option));
}

RUNG_RIVAL_CASE(a_connect_opens_its_socket_and_is_refused_where_nobody_listens) {
    for (const asio::ip::address& a : loopbacks()) {
        auto acceptor = listener(loop, a);
        const tcp::endpoint there = acceptor.local_endpoint();
        typename Loop::tcp_socket s(loop.context());
        s.connect(there);
        BOOST_TEST(s.remote_endpoint() == there);
        error_code ec;
        s.connect(there, ec);
        BOOST_TEST(ec == error_code(error::already_connected));
        s.close();
        acceptor.close();
        s.connect(there, ec);
        BOOST_TEST(ec == error_code(error::connection_refused));
        BOOST_CHECK_THROW(s.connect(there), boost::system::system_error);
    }
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    error_code ec;
    s.connect(tcp::endpoint(asio::ip::address_v6::loopback(), 9), ec);
    BOOST_TEST(ec == error_code(error::address_family_not_supported));
}

RUNG_RIVAL_CASE(bytes_pass_and_end_with_eof_or_a_broken_pipe) {
    over_every_transport(loop, [](auto a, auto b) {
        char in[8] = {};
        BOOST_TEST(a.send(asio::buffer("hello", 5)) == 5U);
        BOOST_TEST(b.receive(asio::buffer(in, 2)) == 2U);
        BOOST_TEST(b.available() == 3U);
        asio::socket_base::bytes_readable readable;
        b.io_control(readable);
        BOOST_TEST(readable.get() == 3U);
        BOOST_TEST(b.receive(asio::buffer(in, 8), b.message_peek) == 3U);
        BOOST_TEST(b.read_some(asio::buffer(in, 8)) == 3U);
        BOOST_TEST(std::string(in, 3) == "llo");

        a.shutdown(a.shutdown_send);
        error_code ec;
        BOOST_TEST(b.receive(asio::buffer(in, 0), 0, ec) == 0U);
        BOOST_TEST(!ec);
        BOOST_TEST(b.read_some(buffers{}, ec) == 0U);
        BOOST_TEST(!ec);
        BOOST_TEST(b.read_some(asio::buffer(in, 1), ec) == 0U);
        BOOST_TEST(ec == error_code(error::eof));
        BOOST_CHECK_THROW(b.read_some(asio::buffer(in, 1)), boost::system::system_error);
        a.send(asio::buffer(in, 1), 0, ec);
        BOOST_TEST(ec == error_code(error::broken_pipe));
        BOOST_TEST(b.send(asio::buffer(in, 1)) == 1U);  // the other direction still works
        BOOST_TEST(a.read_some(asio::buffer(in, 1)) == 1U);
    });
}

RUNG_RIVAL_CASE(several_buffers_go_in_one_call) {
    over_every_transport(loop, [](auto a, auto b) {
        for (const std::size_t n : {1U, 2U, 3U, 16U, 63U, 64U, 65U, 200U}) {
            std::string out = pattern(3 * n);
            std::string in(out.size(), '\0');
            buffers from;
            buffers to;
            for (std::size_t i = 0; i < n; ++i) {
                from.push_back(asio::buffer(&out[3 * i], 3));
                to.push_back(asio::buffer(&in[3 * i], 3));
            }
            const std::size_t at_most_64 = 3 * std::min<std::size_t>(n, 64);
            BOOST_TEST(a.write_some(from) == at_most_64);
            BOOST_TEST(b.read_some(to) == at_most_64);
            BOOST_TEST((in.substr(0, at_most_64) == out.substr(0, at_most_64)));
        }
    });
}

RUNG_RIVAL_CASE(a_non_blocking_socket_would_block_but_still_waits_asynchronously) {
    over_every_transport(loop, [&](auto a, auto b) {
        BOOST_TEST(!b.non_blocking());
        b.non_blocking(true);
        BOOST_TEST(b.non_blocking());
        char byte = 0;
        error_code ec;
        BOOST_TEST(b.receive(asio::buffer(&byte, 1), 0, ec) == 0U);
        BOOST_TEST(ec == error_code(error::would_block));

        outcome received;
        b.async_receive(asio::buffer(&byte, 1), into(received));
        loop.poll();
        BOOST_TEST(received == outcome{});
        a.send(asio::buffer("x", 1));
        loop.run();
        BOOST_TEST(received == done(1));
        BOOST_TEST(byte == 'x');
        b.non_blocking(false);
        BOOST_TEST(!b.non_blocking());
    });
}

RUNG_RIVAL_CASE(a_full_non_blocking_socket_would_block_until_its_peer_reads) {
    over_every_transport(loop, [&](auto a, auto b) {
        a.non_blocking(true);
        const std::string block = pattern(65'536);
        std::size_t sent = 0;
        error_code ec;
        while (!ec) {
            sent += a.send(asio::buffer(block), 0, ec);
        }
        BOOST_TEST(ec == error_code(error::would_block));
        outcome more;
        a.async_send(asio::buffer(block), into(more));
        loop.poll();
        BOOST_TEST(more.calls == 0);
        std::string in(sent, '\0');
        asio::read(b, asio::buffer(in));
        loop.run();
        BOOST_TEST(more.calls == 1);
        BOOST_TEST(!more.ec);
        BOOST_TEST(more.count > 0U);
    });
}

RUNG_RIVAL_CASE(the_native_non_blocking_mode_does_not_change_what_calls_do) {
    over_every_transport(loop, [&](auto a, auto b) {
        b.native_non_blocking(true);
        BOOST_TEST(b.native_non_blocking());
        BOOST_TEST(!b.non_blocking());
        char byte = 0;
        outcome received;
        b.async_receive(asio::buffer(&byte, 1), into(received));
        loop.poll();
        BOOST_TEST(received == outcome{});
        a.send(asio::buffer("x", 1));
        loop.run();
        BOOST_TEST(received == done(1));
        std::thread later([&a = a] {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            a.send(asio::buffer("y", 1));
        });
        BOOST_TEST(b.receive(asio::buffer(&byte, 1)) == 1U);  // waits all the same
        later.join();
        BOOST_TEST(byte == 'y');
    });
}

RUNG_RIVAL_CASE(a_synchronous_wait_returns_when_its_socket_is_ready) {
    over_every_transport(loop, [](auto a, auto b) {
        b.wait(b.wait_write);
        a.send(asio::buffer("x", 1));
        b.wait(b.wait_read);
        a.close();
        b.wait(b.wait_read);
    });
}

}  // namespace
