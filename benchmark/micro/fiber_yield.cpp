// So many fibers that do nothing but let each other run; the time is that of one yield. Each run
// has its fibers started and ended, which is part of it. Every system keeps the stacks for the next
// run: the rivals' pools always do, ours is told to.
#include "boost_fiber.hpp"
#include "fiber_system.hpp"

#include <algorithm>

namespace micro {
namespace {

// At least this many yields of each fiber, so that starting them weighs little.
constexpr std::int64_t fewest_rounds = 100;

std::int64_t rounds_of(std::int64_t fibers) {
    return fibers >= 10'000 ? 20 : std::max(fewest_rounds, 10'000 / fibers);
}

template <class System>
void fiber_yield(System, benchmark::State& state) {
    const std::int64_t fibers = state.range(0);
    const std::int64_t rounds = rounds_of(fibers);
    typename System::context context{System::alone};
    typename System::stacks stacks;
    System::keep_stacks(static_cast<std::size_t>(fibers));
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(fibers * rounds)) {
        for (std::int64_t i = 0; i < fibers; ++i) {
            System::spawn(executor, stacks, [&done, rounds](const typename System::scope& s) {
                for (std::int64_t n = 0; n < rounds; ++n) {
                    System::yield(s);
                    ++done;
                }
            });
        }
        context.run();
        context.restart();
    }
    finish(state, done);
}

#if RUNG_BENCHMARK_HAS_BOOST_FIBER
void boost_yield(benchmark::State& state) {
    const std::int64_t fibers = state.range(0);
    const std::int64_t rounds = rounds_of(fibers);
    boost_fibers::stacks stacks;
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(fibers * rounds)) {
        const std::uint64_t end = done + static_cast<std::uint64_t>(fibers * rounds);
        for (std::int64_t i = 0; i < fibers; ++i) {
            boost_fibers::spawn(stacks, [&done, rounds] {
                for (std::int64_t n = 0; n < rounds; ++n) {
                    boost_fibers::yield();
                    ++done;
                }
            });
        }
        while (done != end)
            boost_fibers::yield();
    }
    finish(state, done);
}

const bool registered_boost = [] {
    benchmark::RegisterBenchmark("fiber_yield/boost_fiber", [](auto& state) { boost_yield(state); })
        ->Arg(1)
        ->Arg(1'000)
        ->Arg(100'000);
    return true;
}();
#endif

const bool registered = register_for<fiber_systems>(
    "fiber_yield", [](auto system, auto& state) { fiber_yield(system, state); },
    [](auto* b) { b->Arg(1)->Arg(1'000)->Arg(100'000); });

}  // namespace
}  // namespace micro
