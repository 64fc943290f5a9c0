// fiber_mutex: two fibers take a mutex by turns, each yielding while it holds it, so that the other
// always waits. fiber_channel: one fiber sends numbers to another through a channel that holds 64:
// ours, Asio's (in both kinds of fibers), Boost.Fiber's.
#include "boost_fiber.hpp"
#include "fiber_system.hpp"

#include <boost/asio/experimental/channel.hpp>

#include <mutex>

#if RUNG_BENCHMARK_HAS_BOOST_FIBER
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/mutex.hpp>
#endif

namespace micro {
namespace {

constexpr std::int64_t batch = 10'000;
constexpr std::size_t capacity = 64;

template <class System>
void asio_channel(System, benchmark::State& state) {
    using channel_type =
        asio::experimental::channel<typename System::executor, void(error_code, std::int64_t)>;
    typename System::context context{System::alone};
    typename System::stacks stacks;
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        channel_type channel(executor, capacity);
        System::spawn(executor, stacks, [&](const typename System::scope& s) {
            for (std::int64_t i = 0; i < batch; ++i) {
                channel.async_receive(System::token(s));
                ++done;
            }
        });
        System::spawn(executor, stacks, [&](const typename System::scope& s) {
            for (std::int64_t i = 0; i < batch; ++i)
                channel.async_send(error_code(), i, System::token(s));
        });
        context.run();
        context.restart();
    }
    finish(state, done);
}

#if RUNG_BENCHMARK_HAS_RUNG
void rung_mutex(benchmark::State& state) {
    rung::io_context context(1);
    rung::mutex mutex(context);
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        for (int f = 0; f < 2; ++f) {
            rung::spawn(context, [&] {
                for (std::int64_t i = 0; i < batch / 2; ++i) {
                    const std::lock_guard lock(mutex);
                    rung::this_fiber::yield();
                    ++done;
                }
            });
        }
        context.run();
        context.restart();
    }
    finish(state, done);
}

void rung_channel(benchmark::State& state) {
    rung::io_context context(1);
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        rung::channel<std::int64_t> channel(context, capacity);
        rung::spawn(context, [&] {
            for (std::int64_t i = 0; i < batch; ++i) {
                channel.async_receive(rung::use_fiber);
                ++done;
            }
        });
        rung::spawn(context, [&] {
            for (std::int64_t i = 0; i < batch; ++i)
                channel.async_send(i, rung::use_fiber);
        });
        context.run();
        context.restart();
    }
    finish(state, done);
}

// Asio's channel in our fibers, which any object of Asio's serves.
void rung_asio_channel(benchmark::State& state) { asio_channel(rung_fibers(), state); }

const bool registered_rung =
    register_one("fiber_mutex/rung", rung_mutex) &&
    register_one("fiber_channel/rung", rung_channel) &&
    register_one("fiber_channel/rung/asio_channel", rung_asio_channel);
#endif

#if RUNG_BENCHMARK_HAS_BOOST_FIBER
void boost_mutex(benchmark::State& state) {
    boost_fibers::stacks stacks;
    boost::fibers::mutex mutex;
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        const std::uint64_t end = done + batch;
        for (int f = 0; f < 2; ++f) {
            boost_fibers::spawn(stacks, [&] {
                for (std::int64_t i = 0; i < batch / 2; ++i) {
                    const std::lock_guard lock(mutex);
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

void boost_channel(benchmark::State& state) {
    boost_fibers::stacks stacks;
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        const std::uint64_t end = done + batch;
        boost::fibers::buffered_channel<std::int64_t> channel(capacity);
        boost_fibers::spawn(stacks, [&] {
            for (std::int64_t i = 0; i < batch; ++i) {
                channel.value_pop();
                ++done;
            }
        });
        boost_fibers::spawn(stacks, [&] {
            for (std::int64_t i = 0; i < batch; ++i)
                channel.push(i);
        });
        while (done != end)
            boost_fibers::yield();
    }
    finish(state, done);
}

const bool registered_boost = register_one("fiber_mutex/boost_fiber", boost_mutex) &&
                              register_one("fiber_channel/boost_fiber", boost_channel);
#endif

#if RUNG_BENCHMARK_HAS_ASIO_SPAWN
const bool registered = register_one(
    "fiber_channel/asio", [](auto& state) { asio_channel(asio_fibers(), state); });
#endif

}  // namespace
}  // namespace micro
