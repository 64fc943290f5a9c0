// Sockets that poll as ready and have nothing to receive: a receive that a cancellation slot may end
// rests there, takes what comes, and ends when it is cancelled.

#include <linux/net_tstamp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <chrono>

#include "at_rest.hpp"
#include "rivals.hpp"

using namespace test;
using asio::cancellation_type;

namespace {

/// Starts a receive of a socket that polls as ready and has nothing for it, and lets it wait.
template <class Loop, class Start>
void check_wait(Loop& loop, Start start) {
    asio::cancellation_signal signal;
    outcome o;
    start(asio::bind_cancellation_slot(signal.slot(), into(o)));
    if (loop.threads() == 1) {
        check_rest(loop, o);
    }
    signal.emit(cancellation_type::total);
    loop.run();
    BOOST_TEST(o == failed(asio::error::operation_aborted));
}

/// Puts something into the error queue of a TCP socket.
template <class Socket>
void queue_error(Socket& s) {
    const int stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    ::setsockopt(s.native_handle(), SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps);
    s.send(asio::buffer("stamped", 7));
    pollfd queued{.fd = s.native_handle(), .events = 0, .revents = 0};
    BOOST_REQUIRE(::poll(&queued, 1, 1'000) == 1);
}

}  // namespace

RUNG_RIVAL_CASE(a_receive_rests_while_errors_are_queued) {
    auto [a, b] = tcp_pair(loop);
    queue_error(a);
    std::array<char, 16> in{};
    const auto receive = [&, &a = a](auto handler) {
        a.async_receive(asio::buffer(in), std::move(handler));
    };
    check_wait(loop, receive);
    asio::cancellation_signal signal;
    outcome o;
    receive(asio::bind_cancellation_slot(signal.slot(), into(o)));
    loop.context().restart();
    loop.context().run_for(std::chrono::milliseconds(20));
    b.send(asio::buffer("data", 4));
    loop.run();
    BOOST_TEST(o == done(4));
}

RUNG_RIVAL_CASE(a_receive_of_errors_rests_at_a_half_closed_stream) {
    auto [a, b] = tcp_pair(loop);
    b.shutdown(asio::socket_base::shutdown_send);
    std::array<char, 16> in{};
    check_wait(loop, [&, &a = a](auto handler) {
        a.async_receive(asio::buffer(in), MSG_ERRQUEUE, std::move(handler));
    });
}

RUNG_RIVAL_CASE(a_receive_rests_at_a_datagram_socket_that_was_shut_down) {
    using socket =
        asio::basic_datagram_socket<asio::local::datagram_protocol, typename Loop::executor_type>;
    socket a(loop.context());
    socket b(loop.context());
    asio::local::connect_pair(a, b);
    a.shutdown(asio::socket_base::shutdown_both);
    std::array<char, 16> in{};
    check_wait(loop, [&](auto handler) { a.async_receive(asio::buffer(in), std::move(handler)); });
}
