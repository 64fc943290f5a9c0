// Stock Asio on epoll, twice: in its best configuration (no locks, concrete executor types), which
// is what the ratios are taken against, and as most programs have it (defaults, `any_io_executor`).

#include "asio_server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

namespace bench {

void serve_asio_epoll_callback(control_link& link, const role_arguments& args) {
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    serve_callbacks(link, args, context, context.get_executor());
}

void serve_asio_epoll_coroutine(control_link& link, const role_arguments& args) {
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    serve_coroutines(link, args, context, context.get_executor());
}

void serve_asio_epoll_default_callback(control_link& link, const role_arguments& args) {
    asio::io_context context;
    serve_callbacks(link, args, context, asio::any_io_executor(context.get_executor()));
}

void serve_asio_epoll_default_coroutine(control_link& link, const role_arguments& args) {
    asio::io_context context;
    serve_coroutines(link, args, context, asio::any_io_executor(context.get_executor()));
}

}  // namespace bench
