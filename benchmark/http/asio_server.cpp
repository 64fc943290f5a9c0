// Stock Asio on epoll.

#include "beast_server.hpp"

namespace bench {

void serve_asio_default(control_link& link, const std::vector<std::string>&) {
    asio::io_context context(1);
    serve_http_callbacks<asio::any_io_executor>(link, context);
}

void serve_asio_callback(control_link& link, const std::vector<std::string>&) {
    asio::io_context context(1);
    serve_http_callbacks<asio::io_context::executor_type>(link, context);
}

void serve_asio_coroutine(control_link& link, const std::vector<std::string>&) {
    asio::io_context context(1);
    serve_http_coroutines<asio::io_context::executor_type>(link, context);
}

}  // namespace bench
