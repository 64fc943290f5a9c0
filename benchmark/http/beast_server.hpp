// The server in callback and in coroutine style, over any executor: one source for all systems.
#pragma once

#include "server.hpp"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace bench {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::chrono::seconds request_limit{30};

template <class Executor>
using http_stream = beast::basic_stream<tcp, Executor>;
template <class Executor>
using http_acceptor = asio::basic_socket_acceptor<tcp, Executor>;

inline http::response<http::string_body> answer(const http::request<http::string_body>& request) {
    http::response<http::string_body> response(http::status::ok, request.version());
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    response.body() = "Hello, World!";
    response.prepare_payload();
    return response;
}

/// One connection, by callbacks.
template <class Executor>
class http_session : public std::enable_shared_from_this<http_session<Executor>> {
public:
    explicit http_session(asio::basic_stream_socket<tcp, Executor> socket)
        : stream_(std::move(socket)) {}

    void read() {
        request_ = {};
        stream_.expires_after(request_limit);
        http::async_read(stream_, buffer_, request_,
                         [self = this->shared_from_this()](beast::error_code ec, std::size_t) {
                             if (!ec) {
                                 self->write();
                             }
                         });
    }

private:
    void write() {
        response_ = answer(request_);
        http::async_write(stream_, response_,
                          [self = this->shared_from_this()](beast::error_code ec, std::size_t) {
                              if (!ec && self->response_.keep_alive()) {
                                  self->read();
                              }
                          });
    }

    http_stream<Executor> stream_;
    beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    http::response<http::string_body> response_;
};

template <class Executor>
void accept_next(http_acceptor<Executor>& acceptor) {
    acceptor.async_accept(
        [&](beast::error_code ec, asio::basic_stream_socket<tcp, Executor> socket) {
            if (!ec) {
                socket.set_option(tcp::no_delay(true));
                std::make_shared<http_session<Executor>>(std::move(socket))->read();
            }
            accept_next(acceptor);
        });
}

/// One connection, as a coroutine.
template <class Executor>
asio::awaitable<void, Executor> http_coroutine(http_stream<Executor> stream) {
    constexpr asio::use_awaitable_t<Executor> wait;
    beast::flat_buffer buffer;
    for (bool more = true; more;) {
        http::request<http::string_body> request;
        stream.expires_after(request_limit);
        const auto [read_error, n] =
            co_await http::async_read(stream, buffer, request, asio::as_tuple(wait));
        if (read_error) {
            co_return;
        }
        http::response<http::string_body> response = answer(request);
        more = response.keep_alive();
        const auto [write_error, m] =
            co_await http::async_write(stream, response, asio::as_tuple(wait));
        if (write_error) {
            co_return;
        }
    }
}

template <class Executor>
asio::awaitable<void, Executor> accept_all(http_acceptor<Executor>& acceptor) {
    for (;;) {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable_t<Executor>());
        socket.set_option(tcp::no_delay(true));
        asio::co_spawn(acceptor.get_executor(),
                       http_coroutine(http_stream<Executor>(std::move(socket))), asio::detached);
    }
}

template <class Executor, class Context>
void serve_http_callbacks(control_link& link, Context& context) {
    http_acceptor<Executor> acceptor(context, {asio::ip::address_v4::loopback(), 0});
    accept_next(acceptor);
    link.ready({acceptor.local_endpoint().port()});
    context.run();
}

template <class Executor, class Context>
void serve_http_coroutines(control_link& link, Context& context) {
    http_acceptor<Executor> acceptor(context, {asio::ip::address_v4::loopback(), 0});
    asio::co_spawn(Executor(context.get_executor()), accept_all(acceptor), asio::detached);
    link.ready({acceptor.local_endpoint().port()});
    context.run();
}

}  // namespace bench
