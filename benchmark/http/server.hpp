#pragma once

#include "../support/role.hpp"

namespace bench {

// The servers: Beast's HTTP on one thread. Each listens on a port of its own choice, reports it
// over the link, and answers every request with a short text until the process is killed.

// As a program says that names no executors: `beast::tcp_stream`, with any_io_executor.
void serve_asio_default(control_link& link, const std::vector<std::string>& args);
void serve_rung_context(control_link& link, const std::vector<std::string>& args);
// With the context's own executor in every type.
void serve_asio_callback(control_link& link, const std::vector<std::string>& args);
void serve_asio_coroutine(control_link& link, const std::vector<std::string>& args);
void serve_rung_callback(control_link& link, const std::vector<std::string>& args);
void serve_rung_coroutine(control_link& link, const std::vector<std::string>& args);

}  // namespace bench
