// The library under test: the same source as stock Asio's servers, on the other context.

#if __has_include(<rung/rung.hpp>)

#include "asio_server.hpp"

#include <rung/rung.hpp>

namespace bench {

void serve_rung_callback(control_link& link, const role_arguments& args) {
    rung::io_context context(1);
    serve_callbacks(link, args, context, context.get_executor());
}

void serve_rung_coroutine(control_link& link, const role_arguments& args) {
    rung::io_context context(1);
    serve_coroutines(link, args, context, context.get_executor());
}

}  // namespace bench

#endif
