// co_spawn, its results, and what coroutines await together.

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "called_once.hpp"
#include "context_fixture.hpp"
#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using asio::awaitable;
using asio::co_spawn;
using asio::use_awaitable;
using boost::system::error_code;
using boost::system::system_error;
using rung::executor;
using timer = test::timer_of<rung::io_context>;

namespace {

struct fixture : test::time_limit, test::context_fixture {
    std::size_t run() {
        context().restart();
        return context().run();
    }

    /// Comes back after so long with the number.
    awaitable<int> later(std::chrono::nanoseconds time, int n) {
        timer t(context(), time);
        co_await t.async_wait(use_awaitable);
        co_return n;
    }
    awaitable<int> fails() {
        co_await asio::post(use_awaitable);
        throw std::runtime_error("failed");
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(coroutines, fixture)

BOOST_AUTO_TEST_CASE(results_come_to_every_kind_of_token) {
    const executor ex = context().get_executor();
    std::future<int> future = co_spawn(ex, later(0s, 1), asio::use_future);
    co_spawn(ex, later(1ms, 2), test::once([](const std::exception_ptr& e, int n) {
                 BOOST_TEST(!e);
                 BOOST_TEST(n == 2);
             }));
    co_spawn(context(), later(0s, 3), asio::detached);
    co_spawn(asio::any_io_executor(ex), later(0s, 4), test::once());
    co_spawn(asio::make_strand(ex), later(0s, 5), test::once());
    co_spawn(
        ex,
        [&]() -> awaitable<void> {
            const int spawned = co_await co_spawn(ex, later(0s, 6), use_awaitable);
            const int awaited = co_await later(0s, 7);
            BOOST_TEST(spawned == 6);
            BOOST_TEST(awaited == 7);
        },
        test::once());
    run();
    BOOST_TEST(future.get() == 1);
}

BOOST_AUTO_TEST_CASE(results_may_be_moved_only) {
    const auto makes = []() -> awaitable<std::unique_ptr<int>> {
        co_await asio::post(use_awaitable);
        co_return std::make_unique<int>(5);
    };
    auto future = co_spawn(context(), makes(), asio::use_future);
    run();
    BOOST_TEST(*future.get() == 5);
}

BOOST_AUTO_TEST_CASE(exceptions_come_to_whoever_waits) {
    auto future = co_spawn(context(), fails(), asio::use_future);
    co_spawn(context(), fails(),
             test::once([](const std::exception_ptr& e, int) { BOOST_TEST(bool(e)); }));
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            bool caught = false;
            try {
                co_await fails();
            } catch (const std::runtime_error&) {
                caught = true;
            }
            BOOST_TEST(caught);
        },
        test::once());
    run();
    BOOST_CHECK_THROW(future.get(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_handler_that_passes_the_exception_on_makes_run_throw) {
    co_spawn(context(), fails(), [](const std::exception_ptr& e, int) {
        if (e) {
            std::rethrow_exception(e);
        }
    });
    BOOST_CHECK_THROW(run(), std::runtime_error);
    BOOST_TEST(context().run() == 0U);
}

BOOST_AUTO_TEST_CASE(coroutines_over_our_executor_and_over_strands) {
    int ended = 0;
    const executor ex = context().get_executor();
    co_spawn(
        ex,
        [&]() -> awaitable<void, executor> {
            timer t(co_await asio::this_coro::executor, 1ms);
            co_await t.async_wait(asio::use_awaitable_t<executor>());
            ++ended;
        },
        test::once());
    using strand = asio::strand<executor>;
    co_spawn(
        asio::make_strand(ex),
        [&]() -> awaitable<void, strand> {
            const strand mine = co_await asio::this_coro::executor;
            co_await asio::post(asio::use_awaitable_t<strand>());
            BOOST_TEST(mine.running_in_this_thread());
            timer t(context(), 1ms);
            co_await t.async_wait(asio::use_awaitable_t<strand>());
            BOOST_TEST(mine.running_in_this_thread());
            ++ended;
        },
        test::once());
    run();
    BOOST_TEST(ended == 2);
}

BOOST_AUTO_TEST_CASE(a_signal_cancels_the_coroutine_and_what_it_awaits) {
    asio::cancellation_signal signal;
    bool aborted = false;
    co_spawn(context(), later(1h, 1),
             asio::bind_cancellation_slot(
                 signal.slot(), test::once([&](const std::exception_ptr& e, int) {
                     try {
                         std::rethrow_exception(e);
                     } catch (const system_error& error) {
                         aborted = error.code() == asio::error::operation_aborted;
                     }
                 })));
    timer soon(context(), 1ms);
    soon.async_wait([&](error_code) { signal.emit(asio::cancellation_type::terminal); });
    run();
    BOOST_TEST(aborted);
}

BOOST_AUTO_TEST_CASE(a_cancelled_coroutine_learns_of_it_at_its_next_operation) {
    asio::cancellation_signal signal;
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
            BOOST_TEST((state.cancelled() == asio::cancellation_type::none));
            co_await asio::this_coro::throw_if_cancelled(false);
            signal.emit(asio::cancellation_type::terminal);
            co_await asio::post(use_awaitable);
            state = co_await asio::this_coro::cancellation_state;
            BOOST_TEST((state.cancelled() != asio::cancellation_type::none));
        },
        asio::bind_cancellation_slot(signal.slot(), test::once()));
    run();
}

BOOST_AUTO_TEST_CASE(the_first_of_two_cancels_the_other) {
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            const auto first = co_await (later(1ms, 1) || later(1h, 2));
            BOOST_TEST(first.index() == 0U);
            BOOST_TEST(std::get<0>(first) == 1);
            const auto second = co_await (later(1h, 1) || later(0s, 2) || later(1h, 3));
            BOOST_TEST(second.index() == 1U);
            timer far(context(), 1h);
            timer soon(context(), 1ms);
            const auto third =
                co_await (far.async_wait(use_awaitable) || soon.async_wait(use_awaitable));
            BOOST_TEST(third.index() == 1U);
        },
        test::once([](const std::exception_ptr& e) { BOOST_TEST(!e); }));
    run();
}

BOOST_AUTO_TEST_CASE(both_of_two_are_waited_for) {
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            const auto [a, b, c] = co_await (later(2ms, 1) && later(0s, 2) && later(1ms, 3));
            BOOST_TEST(a == 1);
            BOOST_TEST(b == 2);
            BOOST_TEST(c == 3);
            bool caught = false;
            try {
                co_await (later(1h, 1) &&
                          fails());  // the failure cancels the other, which fails, too
            } catch (const asio::multiple_exceptions&) {
                caught = true;
            }
            BOOST_TEST(caught);
        },
        test::once([](const std::exception_ptr& e) { BOOST_TEST(!e); }));
    run();
}

BOOST_AUTO_TEST_CASE(channels_carry_values_between_coroutines) {
    using channel =
        asio::experimental::basic_channel<executor, asio::experimental::channel_traits<>,
                                          void(error_code, int)>;
    channel c(context().get_executor(), 2);
    int sum = 0;
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            for (int i = 1; i <= 10; ++i) {
                co_await c.async_send(error_code(), i, use_awaitable);
            }
            c.close();
        },
        test::once());
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            for (;;) {
                const auto [ec, n] = co_await c.async_receive(asio::as_tuple(use_awaitable));
                if (ec) {
                    break;
                }
                sum += n;
            }
        },
        test::once());
    run();
    BOOST_TEST(sum == 55);
}

BOOST_AUTO_TEST_CASE(many_coroutines_over_four_threads) {
    constexpr int coroutines = 500;
    constexpr int steps = 20;
    std::atomic<int> done = 0;
    for (int i = 0; i < coroutines; ++i) {
        co_spawn(
            asio::make_strand(context()),
            [&, i]() -> awaitable<void> {
                int mine = 0;  // unguarded, but for the strand
                timer t(context());
                for (int s = 0; s < steps; ++s) {
                    if ((s + i) % 4 == 0) {
                        t.expires_after(std::chrono::microseconds(s));
                        co_await t.async_wait(use_awaitable);
                    } else {
                        co_await asio::post(use_awaitable);
                    }
                    ++mine;
                }
                done += mine;
            },
            asio::detached);
    }
    test::thread_group(4, [&](int) { context().run(); }).join();
    BOOST_TEST(done == coroutines * steps);
}

BOOST_AUTO_TEST_CASE(a_coroutine_comes_back_from_another_context) {
    rung::io_context other;
    auto guard = asio::make_work_guard(other);
    std::thread::id there;
    test::thread_group runner(1, [&](int) {
        there = std::this_thread::get_id();
        other.run();
    });
    const std::thread::id here = std::this_thread::get_id();
    std::atomic<int> right = 0;
    co_spawn(
        context(),
        [&]() -> awaitable<void> {
            for (int i = 0; i < 100; ++i) {
                co_await asio::post(other, use_awaitable);
                right += std::this_thread::get_id() == here ? 1 : 0;
                right += co_await co_spawn(
                    other,
                    [&]() -> awaitable<int> {
                        co_return std::this_thread::get_id() == there ? 1 : 0;
                    },
                    use_awaitable);
                right += std::this_thread::get_id() == here ? 1 : 0;
            }
        },
        test::once());
    run();
    guard.reset();
    runner.join();
    BOOST_TEST(right == 300);
}

BOOST_AUTO_TEST_SUITE_END()
