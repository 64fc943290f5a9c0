// Functions on other executors as operations, and the adapters.

#include <rung/offload.hpp>

#include <atomic>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/as_operation.hpp>
#include <rung/rung.hpp>
#include <string>
#include <thread>

#include "outcomes.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;

namespace {

BOOST_AUTO_TEST_CASE(a_function_runs_in_a_pool) {
    asio::thread_pool pool(1);
    rung::operation<std::thread::id> op =
        rung::offload(pool, [] { return std::this_thread::get_id(); });
    BOOST_TEST((op.get() != std::this_thread::get_id()));
    rung::operation<> nothing = rung::offload(pool.get_executor(), [] {});
    nothing.get();
}

BOOST_AUTO_TEST_CASE(it_is_pending_until_it_runs) {
    asio::io_context other;
    auto op = rung::offload(other, [] { return 1; });
    BOOST_TEST(op.state() == state::pending);
    other.run();
    BOOST_TEST(op.get() == 1);
}

BOOST_AUTO_TEST_CASE(it_reports_progress_and_sees_the_request_to_cancel) {
    const test::time_limit limit;
    asio::thread_pool pool(1);
    auto op = rung::offload<int>(pool, [](rung::offload_handle<int>& h) {
        int rounds = 0;
        for (;;) {
            h.set_progress(++rounds);
            h.throw_if_cancelled();
        }
    });
    while (op.progress() < 10) {
        std::this_thread::yield();
    }
    BOOST_TEST(op.state() == state::running);
    op.cancel();
    BOOST_TEST(op.wait() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(it_may_be_called_back_for_the_cancellation) {
    const test::time_limit limit;
    asio::thread_pool pool(1);
    for (int i = 0; i < 200; ++i) {
        std::atomic<bool> runs{false};
        auto op = rung::offload(pool, [&](rung::offload_handle<>& h) {
            auto stop = std::make_unique<std::atomic<bool>>(false);
            const rung::cancel_scope scope(h, [&] { *stop = true; });
            runs = true;
            for (int looks = 0; !*stop && looks < i * 10; ++looks) {
            }
            return 3;
        });
        while (!runs) {
        }
        op.cancel();
        BOOST_TEST(op.get() == 3);
    }
}

BOOST_AUTO_TEST_CASE(a_callback_may_outlive_the_function) {
    asio::io_context other;
    const auto asked = std::make_shared<bool>(false);
    rung::operation<> op = rung::offload(
        other, [asked](rung::offload_handle<>& h) { h.on_cancel([asked] { *asked = true; }); });
    other.run();
    BOOST_TEST(asked.use_count() == 1);
    op.cancel();
    BOOST_TEST(!*asked);
}

BOOST_AUTO_TEST_CASE(what_is_cancelled_before_it_begins_does_not_run) {
    asio::io_context other;
    bool ran = false;
    auto op = rung::offload(other, [&] { ran = true; });
    op.cancel();
    other.run();
    BOOST_TEST(!ran);
    BOOST_TEST(op.state() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(an_exception_fails_it) {
    asio::thread_pool pool(1);
    auto op = rung::offload(pool, []() -> int { throw std::out_of_range("far"); });
    BOOST_CHECK_THROW(op.get(), std::out_of_range);
    BOOST_TEST(op.state() == state::failed);
}

BOOST_AUTO_TEST_CASE(a_context_that_drops_it_abandons_it) {
    rung::operation<int> op;
    {
        rung::io_context other;
        op = rung::offload(other, [p = std::make_unique<int>(1)] { return *p; });
    }
    BOOST_TEST(op.error() == abandoned);
}

BOOST_AUTO_TEST_CASE(a_future_becomes_an_operation) {
    const test::time_limit limit;
    asio::thread_pool pool(1);
    std::promise<std::string> promise;
    auto op = rung::as_operation(pool, promise.get_future());
    promise.set_value("kept");
    BOOST_TEST(op.get() == "kept");
    std::promise<void> broken;
    auto failing = rung::as_operation(pool, broken.get_future());
    broken.set_exception(std::make_exception_ptr(std::runtime_error("broken")));
    BOOST_CHECK_THROW(failing.get(), std::runtime_error);
    std::promise<int> never;
    auto endless = rung::as_operation(pool, never.get_future());
    endless.cancel();
    BOOST_TEST(endless.wait() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(a_coroutine_becomes_an_operation) {
    rung::io_context ctx;
    const auto answer = []() -> asio::awaitable<int> { co_return 42; };
    auto op = rung::as_operation(ctx, answer());
    ctx.run();
    BOOST_TEST(op.get() == 42);
}

BOOST_AUTO_TEST_CASE(an_initiating_function_becomes_an_operation) {
    rung::io_context ctx;
    asio::steady_timer timer(ctx.get_executor(), 1ms);
    rung::operation<> packed = rung::as_operation(timer.async_wait(asio::deferred));
    rung::operation<> called =
        rung::as_operation([&](auto token) { return asio::post(ctx, token); });
    ctx.run();
    BOOST_TEST(packed.state() == state::done);
    BOOST_TEST(called.state() == state::done);
}

}  // namespace
