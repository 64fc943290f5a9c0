// The library under test: the same source, with an executor for each level.

#if __has_include(<rung/rung.hpp>)

#include "asio_stack.hpp"

#include <rung/rung.hpp>

namespace bench {

void serve_rung_priority(control_link& link, const std::vector<std::string>& args) {
    const auto workload = priority_workload::from_arguments(args);
    rung::io_context context(1);
    const rung::executor executor = context.get_executor();
    asio_stack<rung::io_context> stack(context, {asio::require(executor, rung::priority::high),
                                                 asio::require(executor, rung::priority::normal),
                                                 asio::require(executor, rung::priority::low)});
    serve_priority_workload(link, stack, workload);
}

}  // namespace bench

#endif
