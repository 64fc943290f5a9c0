// What objects say to a second descriptor, and to one that was closed behind their backs.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/basic_seq_packet_socket.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using asio::generic::seq_packet_protocol;
using asio::ip::udp;

namespace {

template <class Loop>
using datagram_socket = asio::basic_datagram_socket<udp, typename Loop::executor_type>;
template <class Loop>
using packet_socket =
    asio::basic_seq_packet_socket<seq_packet_protocol, typename Loop::executor_type>;
template <class Loop>
using descriptor = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;
template <class Loop>
using readable = asio::basic_readable_pipe<typename Loop::executor_type>;
template <class Loop>
using writable = asio::basic_writable_pipe<typename Loop::executor_type>;

/// Two connected packet sockets, of which the object owns the first.
template <class Loop>
int connect_packets(packet_socket<Loop>& s) {
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    s.assign(seq_packet_protocol(AF_UNIX, 0), ends[0]);
    return ends[1];
}

/// An open object is offered what belongs to another one, and both go on as they were.
template <class Object, class... Protocol>
void refuses(Object& object, int offered, const Protocol&... protocol) {
    const int own = object.native_handle();
    error_code ec;
    object.assign(protocol..., offered, ec);
    BOOST_TEST(ec == error::already_open);
    BOOST_TEST(object.native_handle() == own);
    BOOST_CHECK_THROW(object.assign(protocol..., offered), boost::system::system_error);
    BOOST_TEST(::fcntl(own, F_GETFD) != -1);
    BOOST_TEST(::fcntl(offered, F_GETFD) != -1);
}

RUNG_RIVAL_CASE(an_open_object_refuses_a_second_descriptor) {
    const int spare = ::eventfd(0, 0);
    typename Loop::tcp_socket stream(loop.context(), tcp::v4());
    refuses(stream, spare, tcp::v4());
    auto acceptor = listener(loop);
    refuses(acceptor, spare, tcp::v4());
    datagram_socket<Loop> datagrams(loop.context(), udp::v4());
    refuses(datagrams, spare, udp::v4());
    packet_socket<Loop> packets(loop.context());
    const int peer = connect_packets<Loop>(packets);
    refuses(packets, spare, seq_packet_protocol(AF_UNIX, 0));
    readable<Loop> source(loop.context());
    writable<Loop> target(loop.context());
    asio::connect_pipe(source, target);
    refuses(source, spare);
    refuses(target, spare);
    descriptor<Loop> counter(loop.context(), ::eventfd(0, 0));
    refuses(counter, spare);
    ::close(peer);
    ::close(spare);
}

// Stock Asio's reactor does not learn of such a close, and may wait for ever.

/// Begins an operation of an object whose descriptor is gone; it is to say so.
template <class Loop, class Object, class Start>
void check_gone(Loop& loop, Object& object, Start start) {
    BOOST_REQUIRE(::close(object.native_handle()) == 0);
    outcome o;
    start(into(o));
    loop.run();
    BOOST_TEST(o == failed(error::bad_descriptor));
    error_code ec;
    object.close(ec);
    BOOST_TEST(!object.is_open());
}

BOOST_AUTO_TEST_CASE(operations_on_a_descriptor_that_was_closed_behind_the_object_fail) {
    on_ours([](auto& loop) {
        using Loop = std::decay_t<decltype(loop)>;
        char bytes[4] = {};
        const auto buffer = asio::buffer(bytes);
        enum class what { receive, send, wait };
        for (const what w : {what::receive, what::send, what::wait}) {
            auto [a, b] = tcp_pair(loop);
            check_gone(loop, a, [&, &a = a](auto handler) {
                if (w == what::receive) {
                    a.async_receive(buffer, handler);
                } else if (w == what::send) {
                    a.async_send(buffer, handler);
                } else {
                    a.async_wait(a.wait_read, handler);
                }
            });
        }
        auto acceptor = listener(loop);
        check_gone(loop, acceptor, [&](auto handler) {
            acceptor.async_accept([handler](error_code ec, auto) { handler(ec); });
        });
        typename Loop::tcp_socket connecting(loop.context(), tcp::v4());
        check_gone(loop, connecting, [&](auto handler) {
            connecting.async_connect({asio::ip::address_v4::loopback(), 9}, handler);
        });
        datagram_socket<Loop> datagrams(loop.context(), udp::endpoint(udp::v4(), 0));
        udp::endpoint sender;
        check_gone(loop, datagrams,
                   [&](auto handler) { datagrams.async_receive_from(buffer, sender, handler); });
        readable<Loop> source(loop.context());
        writable<Loop> target(loop.context());
        asio::connect_pipe(source, target);
        check_gone(loop, source, [&](auto handler) { source.async_read_some(buffer, handler); });
        check_gone(loop, target, [&](auto handler) { target.async_write_some(buffer, handler); });
    });
}

BOOST_AUTO_TEST_CASE(an_operation_in_flight_outlives_its_descriptor_and_can_be_ended) {
    on_ours([](auto& loop) {
        char byte = 0;
        for (const bool by_close : {false, true}) {
            auto [a, b] = tcp_pair(loop);
            outcome o;
            a.async_receive(asio::buffer(&byte, 1), into(o));
            loop.poll();
            BOOST_REQUIRE(::close(a.native_handle()) == 0);
            loop.poll();
            BOOST_TEST(o == outcome{});
            error_code ec;
            by_close ? a.close(ec) : a.cancel(ec);
            loop.run();
            BOOST_TEST(o == failed(error::operation_aborted));
            a.close(ec);
        }
    });
}

}  // namespace
