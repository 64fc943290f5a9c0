#pragma once

// As asio_server.hpp, for datagrams: one socket for all clients, one datagram at a time.

#include "server.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace bench {

namespace asio = boost::asio;

template <class Executor>
using udp_socket = asio::basic_datagram_socket<asio::ip::udp, Executor>;

template <class Executor>
udp_socket<Executor> bound_socket(const Executor& executor) {
    udp_socket<Executor> socket(
        executor, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0));
    enlarge_receive_buffer(socket.native_handle());
    return socket;
}

/// In the callback style.
template <class Executor>
class datagram_server {
public:
    explicit datagram_server(const Executor& executor) : socket_(bound_socket(executor)) {}

    std::uint16_t port() const { return socket_.local_endpoint().port(); }

    void receive() {
        socket_.async_receive_from(asio::buffer(data_), client_,
                                   [this](boost::system::error_code error, std::size_t n) {
                                       error ? receive() : send(n);
                                   });
    }

private:
    void send(std::size_t size) {
        socket_.async_send_to(asio::buffer(data_.data(), size), client_,
                              [this](boost::system::error_code, std::size_t) { receive(); });
    }

    udp_socket<Executor> socket_;
    asio::ip::udp::endpoint client_;
    std::array<char, echo_buffer_size> data_;
};

template <class Context, class Executor>
void serve_datagrams_by_callbacks(control_link& link, Context& context, const Executor& executor) {
    datagram_server<Executor> server(executor);
    server.receive();
    link.ready({server.port()});
    context.run();
}

/// In the coroutine style.
template <class Executor>
asio::awaitable<void, Executor> echo_datagrams(udp_socket<Executor>& socket) {
    constexpr asio::use_awaitable_t<Executor> use_awaitable;
    std::array<char, echo_buffer_size> data;
    for (;;) {
        asio::ip::udp::endpoint client;
        const std::size_t n =
            co_await socket.async_receive_from(asio::buffer(data), client, use_awaitable);
        co_await socket.async_send_to(asio::buffer(data.data(), n), client, use_awaitable);
    }
}

template <class Context, class Executor>
void serve_datagrams_by_coroutines(control_link& link, Context& context,
                                   const Executor& executor) {
    udp_socket<Executor> socket = bound_socket(executor);
    asio::co_spawn(executor, echo_datagrams<Executor>(socket), asio::detached);
    link.ready({socket.local_endpoint().port()});
    context.run();
}

}  // namespace bench
