// A thousand operations joined; the time is that of one of them.
#include "system.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>

#include <vector>

namespace micro {
namespace {

constexpr std::int64_t width = 1'000;

void all_of_ours(benchmark::State& state) {
    rung::io_context context{1};
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(width)) {
        std::vector<rung::operation<>> operations;
        operations.reserve(width);
        for (std::int64_t i = 0; i < width; ++i)
            operations.push_back(asio::post(context, rung::use_operation));
        auto joined = rung::all(std::move(operations));
        context.run();
        context.restart();
        joined.get();
        done += width;
    }
    finish(state, done);
}

void parallel_group(benchmark::State& state) {
    asio::io_context context{1};
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(width)) {
        using deferred = decltype(asio::post(executor, asio::deferred));
        std::vector<deferred> operations;
        operations.reserve(width);
        for (std::int64_t i = 0; i < width; ++i)
            operations.push_back(asio::post(executor, asio::deferred));
        asio::experimental::make_parallel_group(std::move(operations))
            .async_wait(asio::experimental::wait_for_all(),
                        [&](std::vector<std::size_t> order) { done += order.size(); });
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered = benchmark::RegisterBenchmark("operation_all/rung", all_of_ours) != nullptr &&
                        benchmark::RegisterBenchmark("operation_all/asio", parallel_group) != nullptr;

}  // namespace
}  // namespace micro
