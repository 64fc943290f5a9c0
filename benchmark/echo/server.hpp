#pragma once

#include "../support/failure.hpp"
#include "../support/raw_epoll_server.hpp"
#include "../support/role.hpp"

namespace bench {

/// The name of the transport.
using role_arguments = std::vector<std::string>;

/// For the servers that have been written for TCP only. Throws `unavailable`.
inline void need_tcp(const role_arguments& args) {
    if (parse_transport(args.at(0)) != transport::tcp) {
        throw unavailable("this server speaks TCP only");
    }
}

// The servers. Each listens on a port of its own choice, reports it over the link and then echoes
// whatever any number of connections send, on one thread, until the process is killed.

void serve_raw_epoll(control_link& link, const role_arguments& args);
void serve_raw_uring(control_link& link, const role_arguments& args);
void serve_raw_uring_multishot(control_link& link, const role_arguments& args);

void serve_asio_epoll_callback(control_link& link, const role_arguments& args);
void serve_asio_epoll_coroutine(control_link& link, const role_arguments& args);
void serve_asio_epoll_spawn(control_link& link, const role_arguments& args);
void serve_asio_epoll_default_callback(control_link& link, const role_arguments& args);
void serve_asio_epoll_default_coroutine(control_link& link, const role_arguments& args);

void serve_rung_callback(control_link& link, const role_arguments& args);
void serve_rung_coroutine(control_link& link, const role_arguments& args);
void serve_rung_fiber(control_link& link, const role_arguments& args);

}  // namespace bench
