// fiber_spawn: a handler starts an empty fiber and posts itself again; the fiber runs to its end.
// fiber_spawn_batch: a thousand empty fibers are started, and then run.
#include "boost_fiber.hpp"
#include "fiber_system.hpp"

namespace micro {
namespace {

constexpr std::int64_t batch = 1'000;

template <class System>
struct spawner {
    typename System::executor executor;
    typename System::stacks* stacks;
    std::int64_t* left;
    std::uint64_t* done;

    void operator()() const {
        System::spawn(executor, *stacks, [d = done](const typename System::scope&) { ++*d; });
        if (--*left > 0)
            asio::post(executor, *this);
    }
};

template <class System>
void fiber_spawn(System, benchmark::State& state) {
    typename System::context context{System::alone};
    typename System::stacks stacks;
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        std::int64_t left = batch;
        asio::post(context.get_executor(),
                   spawner<System>{context.get_executor(), &stacks, &left, &done});
        context.run();
        context.restart();
    }
    finish(state, done);
}

template <class System>
void fiber_spawn_batch(System, benchmark::State& state) {
    typename System::context context{System::alone};
    typename System::stacks stacks;
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        for (std::int64_t i = 0; i < batch; ++i)
            System::spawn(executor, stacks, [&done](const typename System::scope&) { ++done; });
        context.run();
        context.restart();
    }
    finish(state, done);
}

#if RUNG_BENCHMARK_HAS_BOOST_FIBER
// In Boost.Fiber the fiber that starts another is its own scheduler's main fiber.
void boost_spawn(benchmark::State& state, bool at_once) {
    boost_fibers::stacks stacks;
    std::uint64_t done = 0;
    std::uint64_t spawned = 0;
    while (state.KeepRunningBatch(batch)) {
        for (std::int64_t i = 0; i < batch; ++i) {
            boost_fibers::spawn(stacks, [&done] { ++done; });
            if (at_once)
                boost_fibers::yield();
        }
        spawned += batch;
        while (done != spawned)
            boost_fibers::yield();
    }
    finish(state, done);
}

const bool registered_boost =
    register_one("fiber_spawn/boost_fiber", [](auto& state) { boost_spawn(state, true); }) &&
    register_one("fiber_spawn_batch/boost_fiber", [](auto& state) { boost_spawn(state, false); });
#endif

const bool registered =
    register_for<fiber_systems>("fiber_spawn",
                                [](auto system, auto& state) { fiber_spawn(system, state); }) &&
    register_for<fiber_systems>("fiber_spawn_batch",
                                [](auto system, auto& state) { fiber_spawn_batch(system, state); });

}  // namespace
}  // namespace micro
