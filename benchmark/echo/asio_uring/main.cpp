// Stock Asio on its own io_uring backend, in a program of its own: the backend is chosen by macros
// that must be the same in every translation unit, so it cannot be linked beside Asio on epoll.

#if !defined(BOOST_ASIO_HAS_IO_URING) || !defined(BOOST_ASIO_DISABLE_EPOLL)
#error "compile with BOOST_ASIO_HAS_IO_URING and BOOST_ASIO_DISABLE_EPOLL defined"
#endif

#include "../../support/failure.hpp"
#include "../../support/loopback.hpp"
#include "../asio_server.hpp"

#include <boost/asio/io_context.hpp>

namespace bench {

namespace {

void serve_callback(control_link& link, const role_arguments& args) {
    require_io_uring(0);
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    serve_callbacks(link, args, context, context.get_executor());
}

void serve_coroutine(control_link& link, const role_arguments& args) {
    require_io_uring(0);
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    serve_coroutines(link, args, context, context.get_executor());
}

constexpr role roles[] = {
    {"asio-uring-callback", serve_callback},
    {"asio-uring-coroutine", serve_coroutine},
};

int explain(int, char**) {
    throw failure("bench_echo starts this program; it does nothing by itself");
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::run_benchmark("bench_echo_asio_uring", argc, argv, bench::roles, bench::explain);
}
