#pragma once

// The Asio servers: one source for every context. A context decides by its executor's type what the
// sockets are made of; nothing here knows which context it runs on.

#include "server.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>
#include <list>

namespace bench {

namespace asio = boost::asio;

template <class Executor>
using tcp_socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;

/// Accepts connections for ever and gives each to `start`.
template <class Executor>
class echo_acceptor {
public:
    explicit echo_acceptor(const Executor& executor)
        : acceptor_(executor, {asio::ip::address_v4::loopback(), 0}) {}

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

    template <class Start>
    void run(Start start) {
        acceptor_.async_accept(
            [this, start](boost::system::error_code error, tcp_socket<Executor> socket) mutable {
                if (!error) {
                    socket.set_option(asio::ip::tcp::no_delay(true));
                    start(std::move(socket));
                } else if (error != asio::error::connection_aborted) {
                    throw boost::system::system_error(error, "accept");
                }
                run(std::move(start));
            });
    }

private:
    asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
};

/// One connection in the callback style. The handlers hold a bare pointer, which is what a careful
/// program does where speed counts; `ended` destroys the session.
template <class Executor>
class callback_session {
public:
    explicit callback_session(tcp_socket<Executor> socket) : socket_(std::move(socket)) {}

    template <class Ended>
    void read(Ended ended) {
        socket_.async_read_some(asio::buffer(data_),
                                [this, ended](boost::system::error_code error, std::size_t n) {
                                    if (error) {
                                        ended();
                                    } else {
                                        write(n, ended);
                                    }
                                });
    }

private:
    template <class Ended>
    void write(std::size_t size, Ended ended) {
        asio::async_write(socket_, asio::buffer(data_.data(), size),
                          [this, ended](boost::system::error_code error, std::size_t) {
                              if (error) {
                                  ended();
                              } else {
                                  read(ended);
                              }
                          });
    }

    tcp_socket<Executor> socket_;
    std::array<char, echo_buffer_size> data_;
};

/// One connection in the coroutine style.
template <class Executor>
asio::awaitable<void, Executor> coroutine_session(tcp_socket<Executor> socket) {
    constexpr asio::use_awaitable_t<Executor> use_awaitable;
    std::array<char, echo_buffer_size> data;
    try {
        for (;;) {
            const std::size_t n =
                co_await socket.async_read_some(asio::buffer(data), use_awaitable);
            co_await asio::async_write(socket, asio::buffer(data.data(), n), use_awaitable);
        }
    } catch (const boost::system::system_error&) {
        // The client has gone.
    }
}

/// Serves on `context` with sockets over `executor`, which is the context's own or a wrapper of it.
template <class Context, class Executor>
void serve_callbacks(control_link& link, Context& context, const Executor& executor) {
    echo_acceptor<Executor> acceptor(executor);
    std::list<callback_session<Executor>> sessions;
    acceptor.run([&](tcp_socket<Executor> socket) {
        const auto session = sessions.emplace(sessions.end(), std::move(socket));
        session->read([&sessions, session] { sessions.erase(session); });
    });
    link.ready({acceptor.port()});
    context.run();
}

/// Equivalent to `serve_callbacks`, in coroutines.
template <class Context, class Executor>
void serve_coroutines(control_link& link, Context& context, const Executor& executor) {
    echo_acceptor<Executor> acceptor(executor);
    acceptor.run([&](tcp_socket<Executor> socket) {
        asio::co_spawn(executor, coroutine_session<Executor>(std::move(socket)), asio::detached);
    });
    link.ready({acceptor.port()});
    context.run();
}

}  // namespace bench
