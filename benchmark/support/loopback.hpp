#pragma once

#include <cstdint>

namespace bench {

/// A listening TCP socket on 127.0.0.1, for the servers that are written on bare system calls.
struct listener {
    int descriptor;
    std::uint16_t port;
};

/// Throws `failure`.
listener listen_on_loopback(bool non_blocking);

/// A blocking TCP connection to a port of 127.0.0.1: no delay, and closed by a reset, so that runs
/// with thousands of connections do not leave thousands of ports waiting. Throws `failure`.
int connect_to_loopback(std::uint16_t port);

/// Small messages leave at once.
void set_no_delay(int socket) noexcept;

/// Throws `unavailable`, naming the cause, if this process may not set up an io_uring with these
/// flags.
void require_io_uring(unsigned setup_flags);

}  // namespace bench
