// Fibers on executors that are not a rung::executor: strands, run by several threads, and Asio's
// thread pool. Such a fiber goes on wherever its executor runs it.

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <rung/rung.hpp>
#include <stdexcept>
#include <thread>
#include <tuple>

#include "fiber_test.hpp"

namespace {

struct fixture : test::time_limit {};

/// Waits for something that other threads bring about.
template <class Condition>
void until(Condition c) {
    while (!c()) {
        std::this_thread::sleep_for(100us);
    }
}

template <class Context>
class strand_place {
public:
    auto executor() const { return strand_; }
    void run() {
        test::thread_group(3, [this](int) { context_.run(); }).join();
    }
    void poll() { context_.poll(); }

private:
    Context context_;
    asio::strand<typename Context::executor_type> strand_{context_.get_executor()};
};

class pool_place {
public:
    auto executor() { return pool_.get_executor(); }
    void run() { pool_.wait(); }

private:
    asio::thread_pool pool_{3};
};

using places =
    std::tuple<strand_place<asio::io_context>, strand_place<rung::io_context>, pool_place>;
using strands = std::tuple<strand_place<asio::io_context>, strand_place<rung::io_context>>;

template <class Executor>
asio::steady_timer timer_on(const Executor& ex, std::chrono::nanoseconds after) {
    return {asio::any_io_executor(ex), after};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_elsewhere, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(spawn_gives_results_and_exceptions, Place, places) {
    Place place;
    const auto ex = place.executor();
    std::atomic<int> sum = 0;
    std::atomic<int> caught = 0;
    auto future = rung::spawn(ex, [] { return 7; }, asio::use_future);
    rung::spawn(ex, [&] {
        sum += rung::spawn(ex, [] { return 10; }, use_fiber);
        sum += asio::co_spawn(
            ex, []() -> asio::awaitable<int> { co_return 100; }, use_fiber);
        try {
            rung::spawn(ex, []() -> int { throw std::runtime_error("thrown"); }, use_fiber);
        } catch (const std::runtime_error&) {
            ++caught;
        }
    });
    asio::co_spawn(
        ex,
        [&]() -> asio::awaitable<void> {
            sum += co_await rung::spawn(
                ex,
                [] {
                    rung::this_fiber::yield();
                    return 1'000;
                },
                asio::use_awaitable);
        },
        asio::detached);
    place.run();
    BOOST_TEST(future.get() == 7);
    BOOST_TEST(sum == 1'110);
    BOOST_TEST(caught == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fibers_sleep_yield_and_wait, Place, places) {
    Place place;
    const auto ex = place.executor();
    constexpr int fibers = 50;
    std::atomic<int> done = 0;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ex, [&, i] {
            asio::steady_timer t = timer_on(ex, 0s);
            for (int n = 0; n < 10; ++n) {
                rung::this_fiber::yield();
                rung::this_fiber::sleep_for(std::chrono::microseconds(i + n));
                t.expires_after(std::chrono::microseconds(i + n));
                t.async_wait(use_fiber);
                asio::post(ex, use_fiber);
            }
            ++done;
        });
    }
    place.run();
    BOOST_TEST(done == fibers);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_ends_what_takes_too_long, Place, places) {
    Place place;
    const auto ex = place.executor();
    rung::event never(ex);
    rung::channel<int> empty(ex);
    std::atomic<int> late = 0;
    std::atomic<int> in_time = 0;
    const auto count = [&](const error_code& ec) {
        (ec == asio::error::timed_out ? late : in_time) += ec == asio::error::timed_out || !ec;
    };
    for (int i = 0; i < 10; ++i) {
        rung::spawn(ex, [&] {
            asio::steady_timer t = timer_on(ex, 1h);
            count(std::get<0>(t.async_wait(asio::as_tuple(use_fiber.after(1ms)))));
            count(std::get<0>(never.async_wait(asio::as_tuple(use_fiber.after(1ms)))));
            count(std::get<0>(empty.async_receive(asio::as_tuple(use_fiber.after(1ms)))));
            t.expires_after(1ms);
            count(std::get<0>(t.async_wait(asio::as_tuple(use_fiber.after(1h)))));
        });
    }
    place.run();
    BOOST_TEST(late == 30);
    BOOST_TEST(in_time == 10);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_request_on_the_strand_cancels_the_fiber, Place, strands) {
    Place place;
    const auto ex = place.executor();
    asio::cancellation_signal stop;
    std::atomic<int> cancelled = 0;
    std::atomic<bool> aborted = false;
    rung::spawn(
        ex,
        [&] {
            try {
                rung::this_fiber::sleep_for(1h);
            } catch (const system_error& e) {
                cancelled += e.code() == asio::error::operation_aborted ? 1 : 0;
            }
            cancelled += rung::this_fiber::cancelled() == asio::cancellation_type::total ? 1 : 0;
            rung::this_fiber::yield();
            timer_on(ex, 1h).async_wait(use_fiber);
        },
        asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e) {
            aborted = e != nullptr;
        }));
    rung::spawn(ex, [&] {
        rung::this_fiber::sleep_for(1ms);
        stop.emit(asio::cancellation_type::total);
    });
    place.run();
    BOOST_TEST(cancelled == 2);
    BOOST_TEST(aborted);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fibers_exclude_each_other, Place, places) {
    Place place;
    const auto ex = place.executor();
    rung::mutex m(ex);
    rung::condition_variable changed;
    int counter = 0;  // guarded by m
    constexpr int fibers = 20;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ex, [&, i] {
            for (int n = 0; n < 20; ++n) {
                const std::lock_guard lock(m);
                const int seen = counter;
                rung::this_fiber::yield();
                counter = seen + 1;
                changed.notify_one();
            }
            std::unique_lock lock(m);
            changed.wait(lock, [&] { return counter >= 20 * (i + 1); });
            changed.notify_all();
        });
    }
    place.run();
    BOOST_TEST(counter == fibers * 20);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fibers_that_wait_are_unwound_with_the_context, Place, places) {
    const auto owned = std::make_shared<int>();
    std::atomic<int> waiting = 0;
    std::atomic<int> ended = 0;
    auto place = std::make_unique<Place>();
    {
        const auto ex = place->executor();
        const auto start = [&](auto wait) {
            rung::spawn(ex, [&, owned, wait] {
                const auto on_stack = owned;
                ++waiting;
                wait();
                ++ended;
            });
        };
        start([] { rung::this_fiber::sleep_for(1h); });
        start([ex] { timer_on(ex, 1h).async_wait(use_fiber); });
        start([ex] { timer_on(ex, 1h).async_wait(use_fiber.after(1h)); });
        start([ex] { rung::event(ex).wait(); });
        start([ex] { rung::channel<int>(ex).async_receive(use_fiber.after(1h)); });
        start([ex] { rung::spawn(ex, [] { rung::this_fiber::sleep_for(1h); }, use_fiber); });
        if constexpr (requires { place->poll(); }) {
            place->poll();
        }
        until([&] { return waiting == 6; });
    }
    place.reset();
    BOOST_TEST(owned.use_count() == 1);
    BOOST_TEST(ended == 0);
}

BOOST_AUTO_TEST_CASE(a_strand_has_a_priority_that_its_fibers_see) {
    rung::io_context ctx;
    const auto high = rung::with_priority(asio::make_strand(ctx), rung::priority::high);
    const auto is_high = [](const auto& ex) {
        return asio::query(ex, rung::priority()) == rung::priority::high;
    };
    BOOST_TEST(is_high(high));
    BOOST_TEST(is_high(asio::any_io_executor(high)));
    BOOST_TEST(is_high(rung::fiber_executor(high)));
    BOOST_TEST(is_high(rung::fiber_executor(asio::any_io_executor(high))));
    BOOST_TEST(!is_high(rung::fiber_executor(asio::make_strand(ctx))));
    const auto slow = asio::prefer(high, rung::io_priority::low);
    BOOST_TEST((asio::query(rung::fiber_executor(slow), rung::io_priority()) ==
                rung::io_priority::low));
    int seen = 0;
    rung::spawn(high, [&] {
        seen += rung::this_fiber::get_priority() == rung::priority::high ? 1 : 0;
        rung::this_fiber::set_priority(rung::priority::low);
        rung::this_fiber::yield();
        seen += rung::this_fiber::get_priority() == rung::priority::low ? 1 : 0;
    });
    rung::spawn(asio::make_strand(ctx), [&] {
        seen += rung::this_fiber::get_priority() == rung::priority::normal ? 1 : 0;
    });
    ctx.run();
    BOOST_TEST(seen == 3);
}

BOOST_AUTO_TEST_SUITE_END()
