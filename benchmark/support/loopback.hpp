#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

/// What carries messages within the machine. The port of a local stream is part of its name.
enum class transport { tcp, local, udp };

/// Of "tcp", "local" or "udp". Throws `failure`.
transport parse_transport(std::string_view name);

/// A listening socket on 127.0.0.1 (of UDP: a bound one), for the servers that are written on bare
/// system calls.
struct listener {
    int descriptor;
    std::uint16_t port;
};

/// Throws `failure`.
listener listen_on_loopback(bool non_blocking, transport t = transport::tcp);

/// A blocking connection to a port of 127.0.0.1: no delay, and closed by a reset, so that runs with
/// thousands of connections do not leave thousands of ports waiting. Throws `failure`.
int connect_to_loopback(std::uint16_t port, transport t = transport::tcp);

/// The name of a local stream, in the abstract namespace.
std::string local_name(std::uint16_t port);
/// A port for it that no other process has.
std::uint16_t local_port() noexcept;

/// Room for a datagram of every client.
void enlarge_receive_buffer(int socket) noexcept;

/// Small messages leave at once.
void set_no_delay(int socket) noexcept;

/// Throws `unavailable`, naming the cause, if this process may not set up an io_uring with these
/// flags.
void require_io_uring(unsigned setup_flags);

}  // namespace bench
