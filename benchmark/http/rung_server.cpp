// The library under test: the same source on the other context.

#include "beast_server.hpp"

#include <rung/rung.hpp>

namespace bench {

void serve_rung_context(control_link& link, const std::vector<std::string>&) {
    rung::io_context context(1);
    serve_http_callbacks<asio::any_io_executor>(link, context);
}

void serve_rung_callback(control_link& link, const std::vector<std::string>&) {
    rung::io_context context(1);
    serve_http_callbacks<rung::executor>(link, context);
}

void serve_rung_coroutine(control_link& link, const std::vector<std::string>&) {
    rung::io_context context(1);
    serve_http_coroutines<rung::executor>(link, context);
}

}  // namespace bench
