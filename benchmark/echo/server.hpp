#pragma once

#include "../support/raw_epoll_server.hpp"
#include "../support/role.hpp"

namespace bench {

using role_arguments = std::vector<std::string>;

// The servers. Each listens on a port of its own choice, reports it over the link and then echoes
// whatever any number of connections send, on one thread, until the process is killed.

void serve_raw_epoll(control_link& link, const role_arguments& args);
void serve_raw_uring(control_link& link, const role_arguments& args);
void serve_raw_uring_multishot(control_link& link, const role_arguments& args);

void serve_asio_epoll_callback(control_link& link, const role_arguments& args);
void serve_asio_epoll_coroutine(control_link& link, const role_arguments& args);
void serve_asio_epoll_default_callback(control_link& link, const role_arguments& args);
void serve_asio_epoll_default_coroutine(control_link& link, const role_arguments& args);

void serve_rung_callback(control_link& link, const role_arguments& args);
void serve_rung_coroutine(control_link& link, const role_arguments& args);

}  // namespace bench
