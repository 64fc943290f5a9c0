// Boost.Fiber, where it is installed: round-robin scheduling in one thread, pooled stacks.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#if RUNG_BENCHMARK_HAS_BOOST_FIBER
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <boost/fiber/pooled_fixedsize_stack.hpp>

#include <memory>
#endif

namespace micro {

// A workload of one system: `run(state)`.
template <class Run>
bool register_one(const std::string& name, Run run) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { run(state); });
    return true;
}

#if RUNG_BENCHMARK_HAS_BOOST_FIBER
struct boost_fibers {
    using stacks = boost::fibers::pooled_fixedsize_stack;

    template <class F>
    static void spawn(stacks& pool, F function) {
        boost::fibers::fiber(boost::fibers::launch::post, std::allocator_arg, pool,
                             std::move(function))
            .detach();
    }
    static void yield() { boost::this_fiber::yield(); }
};
#endif

}  // namespace micro
