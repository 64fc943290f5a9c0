#pragma once

#include "loopback.hpp"

#include <cstddef>
#include <cstdint>

namespace bench {

/// What every echo server here reads into: more than the largest usual message, as a server that
/// does not know its clients' messages would have it.
inline constexpr std::size_t echo_buffer_size = 16 * 1024;

/// An echo server on bare epoll, recv and send: the floor that the others are measured against.
///
/// Level-triggered, because with one message in flight a connection that saves the recv which would
/// only say EAGAIN.
class raw_epoll_server {
public:
    /// Listens on a port of the kernel's choice. Throws `failure`.
    explicit raw_epoll_server(transport t = transport::tcp);

    raw_epoll_server(const raw_epoll_server&) = delete;
    raw_epoll_server& operator=(const raw_epoll_server&) = delete;

    std::uint16_t port() const noexcept { return listener_.port; }

    /// Waits for events, as long as epoll_wait would for this timeout, and serves them. Throws
    /// `failure` if a connection cannot be accepted.
    void poll(int timeout_ms);

private:
    struct connection;

    void watch(int operation, int descriptor, std::uint32_t events, connection* c);
    void accept_all();
    void serve_datagrams();
    void serve(connection* c);
    void close(connection* c);

    transport transport_;
    listener listener_;
    int epoll_;
};

}  // namespace bench
