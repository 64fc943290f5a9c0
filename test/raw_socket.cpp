// Raw sockets: an echo request to loopback, by hand.

#include <boost/asio/basic_raw_socket.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/generic/raw_protocol.hpp>
#include <boost/asio/ip/icmp.hpp>
#include <cstdint>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using asio::ip::icmp;

namespace {

template <class Loop, class Protocol = icmp>
using raw_socket = asio::basic_raw_socket<Protocol, typename Loop::executor_type>;

/// A socket for ICMP, closed where this process may have none.
template <class Loop>
auto icmp_socket(Loop& l) {
    raw_socket<Loop> s(l.context());
    error_code ec;
    s.open(icmp::v4(), ec);
    if (ec) {
        BOOST_REQUIRE_MESSAGE(ec == error::no_permission || ec == error::access_denied,
                              "opening a raw socket: " << ec.message());
        BOOST_TEST_MESSAGE("no raw sockets for this user: only the error was tested");
    }
    return s;
}

/// An echo request with a number of its own.
std::array<std::uint8_t, 8> request(std::uint16_t number) {
    std::array<std::uint8_t, 8> r{8, 0, 0, 0, 'r', 'u', static_cast<std::uint8_t>(number >> 8),
                                  static_cast<std::uint8_t>(number)};
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < r.size(); i += 2) {
        sum += static_cast<std::uint32_t>(r[i] << 8 | r[i + 1]);
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    r[2] = static_cast<std::uint8_t>(sum >> 8);
    r[3] = static_cast<std::uint8_t>(sum);
    return r;
}

RUNG_RIVAL_CASE(an_echo_request_is_answered) {
    auto s = icmp_socket(loop);
    if (!s.is_open()) {
        return;
    }
    const icmp::endpoint here(asio::ip::address_v4::loopback(), 0);
    const auto out = request(static_cast<std::uint16_t>(::getpid()));
    outcome sent;
    s.async_send_to(asio::buffer(out), here, into(sent));
    loop.run();
    BOOST_TEST(sent == done(out.size()));
    // The socket sees every ICMP packet of the machine, its own request too.
    constexpr std::size_t ip_header = 20;
    bool answered = false;
    for (int i = 0; i < 1'000 && !answered; ++i) {
        std::array<std::uint8_t, 256> in{};
        icmp::endpoint from;
        outcome received;
        s.async_receive_from(asio::buffer(in), from, into(received));
        loop.run();
        BOOST_REQUIRE(!received.ec);
        answered = in[ip_header] == 0 && in[ip_header + 6] == out[6] &&
                   in[ip_header + 7] == out[7] && from.address() == here.address();
    }
    BOOST_TEST(answered);
}

RUNG_RIVAL_CASE(a_receive_is_cancelled_closed_and_destroyed) {
    auto s = icmp_socket(loop);
    if (!s.is_open()) {
        return;
    }
    s.bind(icmp::endpoint(asio::ip::make_address_v4("127.7.7.7"), 0));  // where nobody sends to
    char in[64];
    icmp::endpoint from;
    asio::cancellation_signal signal;
    outcome ended[4];
    s.async_receive_from(asio::buffer(in), from,
                         asio::bind_cancellation_slot(signal.slot(), into(ended[0])));
    loop.poll();
    signal.emit(asio::cancellation_type::terminal);
    loop.run();
    s.async_receive(asio::buffer(in), into(ended[1]));
    loop.poll();
    s.cancel();
    loop.run();
    s.async_receive(asio::buffer(in), into(ended[2]));
    loop.poll();
    {
        raw_socket<Loop, asio::generic::raw_protocol> moved(std::move(s));
        loop.poll();
        BOOST_TEST(ended[2] == outcome{});
    }
    loop.run();
    s.async_receive(asio::buffer(in), into(ended[3]));
    loop.run();
    for (int i = 0; i < 3; ++i) {
        BOOST_TEST(ended[i] == failed(error::operation_aborted));
    }
    BOOST_TEST(ended[3] == failed(error::bad_descriptor));
}

}  // namespace
