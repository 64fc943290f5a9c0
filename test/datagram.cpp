// Datagrams: messages with bounds and addresses, over UDP and local sockets.

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/generic/datagram_protocol.hpp>
#include <boost/asio/ip/multicast.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/datagram_protocol.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using asio::ip::udp;
using local_datagram = asio::local::datagram_protocol;

namespace {

template <class Loop, class Protocol = udp>
using datagram_socket = asio::basic_datagram_socket<Protocol, typename Loop::executor_type>;

/// A socket bound to a free port of loopback.
template <class Loop>
auto bound(Loop& l, const asio::ip::address& a = asio::ip::address_v4::loopback()) {
    return datagram_socket<Loop>(l.context(), udp::endpoint(a, 0));
}

/// Two sockets connected to each other.
template <class Loop>
auto connected_pair(Loop& l) {
    auto a = bound(l);
    auto b = bound(l);
    a.connect(b.local_endpoint());
    b.connect(a.local_endpoint());
    return std::pair(std::move(a), std::move(b));
}

RUNG_RIVAL_CASE(a_datagram_tells_who_sent_it) {
    for (const asio::ip::address& address : loopbacks()) {
        auto a = bound(loop, address);
        auto b = bound(loop, address);
        char in[16];
        udp::endpoint sender;
        outcome waited;
        b.async_receive_from(asio::buffer(in), sender, into(waited));
        loop.poll();
        BOOST_TEST(waited == outcome{});
        outcome sent;
        a.async_send_to(asio::buffer("hello", 5), b.local_endpoint(), into(sent));
        loop.run();
        BOOST_TEST(sent == done(5));
        BOOST_TEST(waited == done(5));
        BOOST_TEST(std::string(in, 5) == "hello");
        BOOST_TEST(sender == a.local_endpoint());

        a.send_to(asio::buffer("again", 5), b.local_endpoint());
        sender = {};
        outcome ready;
        b.async_receive_from(asio::buffer(in), sender, into(ready));
        loop.run();
        BOOST_TEST(ready == done(5));
        BOOST_TEST(sender == a.local_endpoint());
    }
}

RUNG_RIVAL_CASE(several_buffers_make_one_datagram) {
    auto a = bound(loop);
    auto b = bound(loop);
    const std::array<asio::const_buffer, 3> out{asio::buffer("one", 3), asio::buffer("two", 3),
                                                asio::buffer("three", 5)};
    char head[4] = {};
    char tail[16] = {};
    const std::array<asio::mutable_buffer, 2> in{asio::buffer(head), asio::buffer(tail)};
    udp::endpoint sender;
    outcome received;
    outcome sent;
    b.async_receive_from(in, sender, into(received));
    loop.poll();
    a.async_send_to(out, b.local_endpoint(), into(sent));
    loop.run();
    BOOST_TEST(sent == done(11));
    BOOST_TEST(received == done(11));
    BOOST_TEST(std::string(head, 4) + std::string(tail, 7) == "onetwothree");
    BOOST_TEST(sender == a.local_endpoint());
}

RUNG_RIVAL_CASE(of_more_than_64_buffers_the_first_64_are_sent) {
    auto [a, b] = connected_pair(loop);
    std::string block = pattern(2'000);
    std::vector<asio::const_buffer> many;
    for (char& c : block) {
        many.push_back(asio::buffer(&c, 1));
    }
    char in[4'000];
    outcome sent;
    outcome received;
    a.async_send(many, into(sent));
    b.async_receive(asio::buffer(in), into(received));
    loop.run();
    BOOST_TEST(sent == done(64));
    BOOST_TEST(received == done(64));
    BOOST_TEST(std::string(in, 64) == block.substr(0, 64));
}

RUNG_RIVAL_CASE(what_does_not_fit_is_cut_off) {
    auto [a, b] = connected_pair(loop);
    char in[3] = {};
    outcome received;
    b.async_receive(asio::buffer(in), into(received));
    a.send(asio::buffer("abcdef", 6));
    loop.run();
    BOOST_TEST(received == done(3));
    BOOST_TEST(b.available() == 0U);
}

RUNG_RIVAL_CASE(an_empty_datagram_is_a_datagram) {
    auto [a, b] = connected_pair(loop);
    char in[8];
    udp::endpoint sender;
    outcome received;
    outcome with_sender;
    outcome sent[2];
    b.async_receive(asio::buffer(in), into(received));
    b.async_receive_from(asio::buffer(in), sender, into(with_sender));
    loop.poll();
    BOOST_TEST(received == outcome{});
    a.async_send(asio::const_buffer(), into(sent[0]));
    a.async_send(asio::buffer(in, 0), into(sent[1]));
    loop.run();
    BOOST_TEST(received == done(0));
    BOOST_TEST(with_sender == done(0));
    BOOST_TEST(sender == a.local_endpoint());
    BOOST_TEST(sent[0] == done(0));
    BOOST_TEST(sent[1] == done(0));
}

RUNG_RIVAL_CASE(receives_are_served_in_the_order_in_which_they_were_started) {
    auto [a, b] = connected_pair(loop);
    constexpr int n = 20;
    int in[n];
    outcome received[n];
    for (int i = 0; i < n; ++i) {
        b.async_receive(asio::buffer(&in[i], sizeof(int)), into(received[i]));
    }
    loop.poll();
    for (int i = 0; i < n; ++i) {
        a.send(asio::buffer(&i, sizeof i));
    }
    loop.run();
    for (int i = 0; i < n; ++i) {
        BOOST_TEST(received[i] == done(sizeof(int)));
        BOOST_TEST(in[i] == i);
    }
}

RUNG_RIVAL_CASE(a_wait_ends_when_a_datagram_is_there) {
    auto [a, b] = connected_pair(loop);
    outcome readable;
    outcome writable;
    b.async_wait(b.wait_read, into(readable));
    a.async_wait(a.wait_write, into(writable));
    loop.poll();
    BOOST_TEST(readable == outcome{});
    a.send(asio::buffer("x", 1));
    loop.run();
    BOOST_TEST(readable == done());
    BOOST_TEST(writable == done());
    BOOST_TEST(b.available() == 1U);
}

RUNG_RIVAL_CASE(null_buffers_wait_and_take_nothing) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    auto [a, b] = connected_pair(loop);
    udp::endpoint sender(asio::ip::address_v4::loopback(), 9);
    outcome received;
    outcome sent;
    b.async_receive_from(asio::null_buffers(), sender, into(received));
    loop.poll();
    BOOST_TEST(received == outcome{});
    a.async_send_to(asio::null_buffers(), b.local_endpoint(), into(sent));
    a.send(asio::buffer("x", 1));
    loop.run();
    BOOST_TEST(received == done());
    BOOST_TEST(sent == done());
    BOOST_TEST(sender == udp::endpoint());
    BOOST_TEST(b.receive_from(asio::null_buffers(), sender) == 0U);
    BOOST_TEST(a.send_to(asio::null_buffers(), b.local_endpoint()) == 0U);
    BOOST_TEST(b.available() == 1U);
#pragma GCC diagnostic pop
}

RUNG_RIVAL_CASE(errors_come_with_their_codes) {
    auto a = bound(loop);
    const std::string too_long(70'000, 'x');
    outcome sent;
    a.async_send_to(asio::buffer(too_long), a.local_endpoint(), into(sent));
    loop.run();
    BOOST_TEST(sent == failed(error::message_size));

    udp::endpoint nobody;
    {
        nobody = bound(loop).local_endpoint();
    }
    a.connect(nobody);
    a.send(asio::buffer("x", 1));
    char in[4];
    outcome refused;
    a.async_receive(asio::buffer(in), into(refused));
    loop.run();
    BOOST_TEST(refused == failed(error::connection_refused));

    a.close();
    outcome closed[3];
    udp::endpoint sender;
    a.async_receive_from(asio::buffer(in), sender, into(closed[0]));
    a.async_send_to(asio::buffer(in), nobody, into(closed[1]));
    a.async_wait(a.wait_read, into(closed[2]));
    loop.run();
    for (const outcome& o : closed) {
        BOOST_TEST(o == failed(error::bad_descriptor));
    }
}

RUNG_RIVAL_CASE(cancel_and_close_end_what_is_in_flight) {
    for (const bool close : {false, true}) {
        auto a = bound(loop);
        char in[8];
        udp::endpoint sender;
        outcome ended[3];
        a.async_receive_from(asio::buffer(in), sender, into(ended[0]));
        a.async_receive(asio::buffer(in), into(ended[1]));
        a.async_wait(a.wait_read, into(ended[2]));
        loop.poll();
        close ? a.close() : a.cancel();
        loop.run();
        for (const outcome& o : ended) {
            BOOST_TEST(o == failed(error::operation_aborted));
        }
    }
}

RUNG_RIVAL_CASE(a_slot_cancels_one_receive_and_leaves_the_next) {
    auto [a, b] = connected_pair(loop);
    asio::cancellation_signal signal;
    char in[8];
    udp::endpoint sender;
    outcome cancelled;
    outcome next;
    b.async_receive_from(asio::buffer(in), sender,
                         asio::bind_cancellation_slot(signal.slot(), into(cancelled)));
    b.async_receive_from(asio::buffer(in), sender, into(next));
    loop.poll();
    signal.emit(asio::cancellation_type::total);
    loop.poll();
    a.send(asio::buffer("abc", 3));
    loop.run();
    BOOST_TEST(cancelled == failed(error::operation_aborted));
    BOOST_TEST(next == done(3));
}

RUNG_RIVAL_CASE(a_socket_that_moves_takes_its_receive_along) {
    auto [a, b] = connected_pair(loop);
    char in[8];
    udp::endpoint sender;
    outcome received;
    b.async_receive_from(asio::buffer(in), sender, into(received));
    loop.poll();
    using generic = datagram_socket<Loop, asio::generic::datagram_protocol>;
    datagram_socket<Loop> moved(std::move(b));
    BOOST_TEST(!b.is_open());
    generic converted(std::move(moved));
    BOOST_TEST(!moved.is_open());
    a.send(asio::buffer("abc", 3));
    loop.run();
    BOOST_TEST(received == done(3));
    typename generic::endpoint_type from;
    outcome again;
    a.send(asio::buffer("abc", 3));
    converted.async_receive_from(asio::buffer(in), from, into(again));
    loop.run();
    BOOST_TEST(again == done(3));
    BOOST_TEST((from == typename generic::endpoint_type(a.local_endpoint())));
}

RUNG_RIVAL_CASE(a_released_descriptor_goes_on_without_its_operations) {
    auto [a, b] = connected_pair(loop);
    char in[8];
    outcome ended;
    b.async_receive(asio::buffer(in), into(ended));
    loop.poll();
    const int descriptor = b.release();
    BOOST_TEST(!b.is_open());
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
    a.send(asio::buffer("abc", 3));
    datagram_socket<Loop> again(loop.context(), udp::v4(), descriptor);
    outcome received;
    again.async_receive(asio::buffer(in), into(received));
    loop.run();
    BOOST_TEST(received == done(3));
}

RUNG_RIVAL_CASE(non_blocking_mode_concerns_calls_and_not_operations) {
    auto [a, b] = connected_pair(loop);
    b.non_blocking(true);
    BOOST_TEST(b.non_blocking());
    char in[8];
    error_code ec;
    b.receive(asio::buffer(in), 0, ec);
    BOOST_TEST(ec == error::would_block);
    outcome received;
    b.async_receive(asio::buffer(in), into(received));
    loop.poll();
    BOOST_TEST(received == outcome{});
    a.send(asio::buffer("abc", 3));
    loop.run();
    BOOST_TEST(received == done(3));
    b.non_blocking(false);
    b.native_non_blocking(true);
    BOOST_TEST(b.native_non_blocking());
}

RUNG_RIVAL_CASE(a_group_gets_what_is_sent_to_it) {
    const auto group = asio::ip::make_address_v4("239.255.77.1");
    const auto loopback = asio::ip::address_v4::loopback();
    auto member = datagram_socket<Loop>(loop.context(), udp::v4());
    member.set_option(asio::socket_base::reuse_address(true));
    member.bind({group, 0});
    error_code ec;
    member.set_option(asio::ip::multicast::join_group(group, loopback), ec);
    BOOST_REQUIRE_MESSAGE(!ec, "joining a group on loopback: " << ec.message());
    auto sender = bound(loop);
    sender.set_option(asio::ip::multicast::outbound_interface(loopback));
    sender.set_option(asio::ip::multicast::hops(1));
    sender.set_option(asio::ip::multicast::enable_loopback(true));
    asio::ip::multicast::enable_loopback back;
    sender.get_option(back);
    BOOST_TEST(back.value());
    char in[8];
    udp::endpoint from;
    outcome received;
    outcome sent;
    member.async_receive_from(asio::buffer(in), from, into(received));
    sender.async_send_to(asio::buffer("all", 3), udp::endpoint(group, member.local_endpoint().port()),
                         into(sent));
    loop.run();
    BOOST_TEST(sent == done(3));
    BOOST_TEST(received == done(3));
    BOOST_TEST(from == sender.local_endpoint());
    member.set_option(asio::ip::multicast::leave_group(group, loopback));
}

RUNG_RIVAL_CASE(local_datagrams_come_from_paths_or_from_nowhere) {
    const std::string path = "/tmp/rung_datagram_" + std::to_string(::getpid());
    const std::string here = path + ".a";
    const std::string there = path + ".b";
    ::unlink(here.c_str());
    ::unlink(there.c_str());
    using socket = datagram_socket<Loop, local_datagram>;
    socket a(loop.context(), local_datagram::endpoint(here));
    socket b(loop.context(), local_datagram::endpoint(there));
    socket nameless(loop.context(), local_datagram());
    char in[8];
    local_datagram::endpoint sender;
    outcome received;
    outcome sent;
    b.async_receive_from(asio::buffer(in), sender, into(received));
    a.async_send_to(asio::buffer("abc", 3), b.local_endpoint(), into(sent));
    loop.run();
    BOOST_TEST(sent == done(3));
    BOOST_TEST(received == done(3));
    BOOST_TEST(sender.path() == here);
    outcome anonymous;
    b.async_receive_from(asio::buffer(in), sender, into(anonymous));
    nameless.send_to(asio::buffer("abc", 3), b.local_endpoint());
    loop.run();
    BOOST_TEST(anonymous == done(3));
    BOOST_TEST(sender.path() == "");
    ::unlink(here.c_str());
    ::unlink(there.c_str());
}

RUNG_RIVAL_CASE(a_context_may_be_destroyed_with_receives_in_flight) {
    auto a = std::make_shared<datagram_socket<Loop>>(bound(loop));
    auto memory = std::make_shared<std::array<char, 64>>();
    auto sender = std::make_shared<udp::endpoint>();
    a->async_receive_from(asio::buffer(*memory), *sender,
                          [a, memory, sender](error_code, std::size_t) { BOOST_TEST(false); });
    loop.poll();
    const std::weak_ptr<void> watch = a;
    a.reset();
    BOOST_TEST(!watch.expired());
    loop.destroy();
    BOOST_TEST(watch.expired());
}

}  // namespace
