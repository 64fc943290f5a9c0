// Stock Asio on its own io_uring backend, in a program of its own: the backend is chosen by macros
// that must be the same in every translation unit, so it cannot be linked beside Asio on epoll.

#if !defined(BOOST_ASIO_HAS_IO_URING) || !defined(BOOST_ASIO_DISABLE_EPOLL)
#error "compile with BOOST_ASIO_HAS_IO_URING and BOOST_ASIO_DISABLE_EPOLL defined"
#endif

#include "../../support/loopback.hpp"
#include "../asio_stack.hpp"

#include <boost/asio/io_context.hpp>

namespace bench {

namespace {

void serve(control_link& link, const std::vector<std::string>& args) {
    require_io_uring(0);
    serve_stock_asio<asio::io_context>(link, args);
}

constexpr role roles[] = {{"asio-uring", serve}};

int explain(int, char**) {
    throw failure("bench_priority starts this program; it does nothing by itself");
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::run_benchmark("bench_priority_asio_uring", argc, argv, bench::roles,
                                bench::explain);
}
