#pragma once

// The Asio servers: one source for every context. A context decides by its executor's type what the
// sockets are made of; nothing here knows which context it runs on.

#include "asio_datagram_server.hpp"
#include "server.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>
#include <list>
#include <type_traits>

namespace bench {

namespace asio = boost::asio;

template <class Protocol, class Executor>
using stream = asio::basic_stream_socket<Protocol, Executor>;

/// Where a server listens, and the number by which its clients know that.
inline asio::ip::tcp::endpoint any_endpoint(asio::ip::tcp) {
    return {asio::ip::address_v4::loopback(), 0};
}
inline asio::local::stream_protocol::endpoint any_endpoint(asio::local::stream_protocol) {
    return {local_name(local_port())};
}
inline std::uint16_t port_of(const asio::ip::tcp::endpoint& e) { return e.port(); }
inline std::uint16_t port_of(const asio::local::stream_protocol::endpoint&) { return local_port(); }

/// Accepts connections for ever and gives each to `start`.
template <class Protocol, class Executor>
class echo_acceptor {
public:
    explicit echo_acceptor(const Executor& executor)
        : acceptor_(executor, any_endpoint(typename Protocol::endpoint().protocol()), false) {}

    std::uint16_t port() const { return port_of(acceptor_.local_endpoint()); }

    template <class Start>
    void run(Start start) {
        acceptor_.async_accept(
            [this, start](boost::system::error_code error,
                            stream<Protocol, Executor> socket) mutable {
                if (!error) {
                    if constexpr (std::is_same_v<Protocol, asio::ip::tcp>) {
                        socket.set_option(asio::ip::tcp::no_delay(true));
                    }
                    start(std::move(socket));
                } else if (error != asio::error::connection_aborted) {
                    throw boost::system::system_error(error, "accept");
                }
                run(std::move(start));
            });
    }

private:
    asio::basic_socket_acceptor<Protocol, Executor> acceptor_;
};

/// One connection in the callback style. The handlers hold a bare pointer, which is what a careful
/// program does where speed counts; `ended` destroys the session.
template <class Protocol, class Executor>
class callback_session {
public:
    explicit callback_session(stream<Protocol, Executor> socket) : socket_(std::move(socket)) {}

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

    stream<Protocol, Executor> socket_;
    std::array<char, echo_buffer_size> data_;
};

/// One connection in the coroutine style.
template <class Protocol, class Executor>
asio::awaitable<void, Executor> coroutine_session(stream<Protocol, Executor> socket) {
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

template <class Protocol, class Context, class Executor>
void serve_streams_by_callbacks(control_link& link, Context& context, const Executor& executor) {
    echo_acceptor<Protocol, Executor> acceptor(executor);
    std::list<callback_session<Protocol, Executor>> sessions;
    acceptor.run([&](stream<Protocol, Executor> socket) {
        const auto session = sessions.emplace(sessions.end(), std::move(socket));
        session->read([&sessions, session] { sessions.erase(session); });
    });
    link.ready({acceptor.port()});
    context.run();
}

template <class Protocol, class Context, class Executor>
void serve_streams_by_coroutines(control_link& link, Context& context, const Executor& executor) {
    echo_acceptor<Protocol, Executor> acceptor(executor);
    acceptor.run([&](stream<Protocol, Executor> socket) {
        asio::co_spawn(executor, coroutine_session<Protocol, Executor>(std::move(socket)),
                       asio::detached);
    });
    link.ready({acceptor.port()});
    context.run();
}

/// Serves on `context` with sockets over `executor`, which is the context's own or a wrapper of it.
template <class Context, class Executor>
void serve_callbacks(control_link& link, const role_arguments& args, Context& context,
                     const Executor& executor) {
    switch (parse_transport(args.at(0))) {
        case transport::tcp:
            return serve_streams_by_callbacks<asio::ip::tcp>(link, context, executor);
        case transport::local:
            return serve_streams_by_callbacks<asio::local::stream_protocol>(link, context,
                                                                            executor);
        case transport::udp:
            return serve_datagrams_by_callbacks(link, context, executor);
    }
}

/// Equivalent to `serve_callbacks`, in coroutines.
template <class Context, class Executor>
void serve_coroutines(control_link& link, const role_arguments& args, Context& context,
                      const Executor& executor) {
    switch (parse_transport(args.at(0))) {
        case transport::tcp:
            return serve_streams_by_coroutines<asio::ip::tcp>(link, context, executor);
        case transport::local:
            return serve_streams_by_coroutines<asio::local::stream_protocol>(link, context,
                                                                             executor);
        case transport::udp:
            return serve_datagrams_by_coroutines(link, context, executor);
    }
}

}  // namespace bench
