// One operation, watched in each way, against what the standard library and Asio have for it: a look
// at one that runs; a round trip through the loop on one thread by polling, callback and coroutine;
// and a round trip between threads.
#include "system.hpp"
#include "two_cores.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <future>
#include <thread>

namespace micro {
namespace {

using benchmark::State;
constexpr auto use_promise = asio::experimental::use_promise;

template <class Run>
bool add(const char* name, Run run) {
    benchmark::RegisterBenchmark(name, [run](State& state) { run(state); });
    return true;
}

// --- a look at an operation that runs

struct counts {
    std::uint64_t done, total;
};

const bool poll_registered =
    add("operation_poll/rung",
        [](State& state) {
            auto [source, op] = rung::make_operation<int>();
            source.set_running();
            for (auto _ : state)
                benchmark::DoNotOptimize(op.state());
        }) &&
    add("operation_poll/std",
        [](State& state) {
            std::promise<int> promise;
            const auto future = promise.get_future();
            for (auto _ : state)
                benchmark::DoNotOptimize(future.wait_for(std::chrono::seconds(0)));
        }) &&
    add("operation_poll_progress/rung", [](State& state) {
        auto [source, op] = rung::make_operation<int, counts>();
        source.set_progress({1, 2});
        for (auto _ : state)
            benchmark::DoNotOptimize(op.progress());
    });

// --- a round trip through the loop, on its own thread

// The token makes an operation or a future.
template <class Context, class Token>
void round_trip(State& state, Token token) {
    Context context{1};
    for (auto _ : state) {
        auto result = asio::post(context, token);
        context.poll();
        context.restart();
        result.get();
    }
}

// A future by hand: a promise that a function on the loop keeps.
std::future<void> promised(asio::io_context& context) {
    std::promise<void> promise;
    auto future = promise.get_future();
    asio::post(context, [p = std::move(promise)]() mutable { p.set_value(); });
    return future;
}

const bool local_registered =
    add("operation_local/rung",
        [](State& state) { round_trip<rung::io_context>(state, rung::use_operation); }) &&
    add("operation_local/rung_on_asio",
        [](State& state) { round_trip<asio::io_context>(state, rung::use_operation); }) &&
    add("operation_local/asio",
        [](State& state) { round_trip<asio::io_context>(state, asio::use_future); }) &&
    add("operation_local/std", [](State& state) {
        asio::io_context context{1};
        for (auto _ : state) {
            auto future = promised(context);
            context.poll();
            context.restart();
            future.get();
        }
    });

// The state machine alone, without a loop.
const bool bare_registered =
    add("operation_bare/rung",
        [](State& state) {
            for (auto _ : state) {
                auto [source, op] = rung::make_operation<int>();
                source.set_done(1);
                benchmark::DoNotOptimize(op.get());
            }
        }) &&
    add("operation_bare/std", [](State& state) {
        for (auto _ : state) {
            std::promise<int> promise;
            auto future = promise.get_future();
            promise.set_value(1);
            benchmark::DoNotOptimize(future.get());
        }
    });

const bool callback_registered =
    add("operation_callback/rung",
        [](State& state) {
            rung::io_context context{1};
            std::uint64_t done = 0;
            for (auto _ : state) {
                auto op = asio::post(context, rung::use_operation);
                op.async_wait(asio::bind_executor(context, [&](error_code) { ++done; }));
                context.poll();
                context.restart();
            }
            finish(state, done);
        }) &&
    add("operation_callback/asio", [](State& state) {
        asio::io_context context{1};
        std::uint64_t done = 0;
        for (auto _ : state) {
            auto promise = asio::post(context, use_promise);
            promise(asio::bind_executor(context, [&] { ++done; }));
            context.poll();
            context.restart();
        }
        finish(state, done);
    });

// --- a coroutine that awaits one after the other

constexpr std::int64_t batch = 10'000;

template <class System, class Start>
void await_batches(State& state, Start start) {
    typename System::context context{System::alone};
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        asio::co_spawn(
            context,
            [&]() -> typename System::awaitable {
                for (std::int64_t i = 0; i < batch; ++i) {
                    co_await start(context);
                    ++done;
                }
            },
            asio::detached);
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool await_registered =
    add("operation_await/rung",
        [](State& state) {
            await_batches<rung_system>(state, [](auto& context) {
                return asio::post(context, rung::use_operation).async_wait(rung_system::use_awaitable);
            });
        }) &&
    add("operation_await/asio", [](State& state) {
        await_batches<asio_system>(state, [](auto& context) -> asio_system::awaitable {
            auto promise = asio::post(context, use_promise);
            co_await promise(asio_system::use_awaitable);
        });
    });

// --- between threads: this one asks, the loop's answers

template <class Context, class Ask>
void ask_remotely(State& state, Context& context, Ask ask) {
    const two_cores cores;
    auto guard = asio::make_work_guard(context);
    std::thread loop([&] {
        cores.move_to_second();
        context.run();
    });
    for (auto _ : state)
        ask(context);
    guard.reset();
    loop.join();
    state.SetLabel(wall_time);
}

const bool remote_registered =
    add("operation_remote/rung",
        [](State& state) {
            rung::io_context context{1};
            ask_remotely(state, context,
                         [](auto& c) { asio::post(c, rung::use_operation).get(); });
        }) &&
    add("operation_remote/rung_spinning",
        [](State& state) {
            static constexpr std::chrono::microseconds spin{100};
            rung::io_context_options options;
            options.concurrency_hint = 1;
            options.spin_before_sleep = spin;
            rung::io_context context{options};
            ask_remotely(state, context,
                         [](auto& c) { asio::post(c, rung::use_operation).wait(spin); });
        }) &&
    add("operation_remote/asio",
        [](State& state) {
            asio::io_context context{1};
            ask_remotely(state, context, [](auto& c) { asio::post(c, asio::use_future).get(); });
        }) &&
    add("operation_remote/std", [](State& state) {
        asio::io_context context{1};
        ask_remotely(state, context, [](auto& c) { promised(c).get(); });
    });

}  // namespace
}  // namespace micro
