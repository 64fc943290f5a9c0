// Watching by blocking, future, deferred, coroutine and fiber.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <rung/rung.hpp>
#include <thread>
#include <vector>

#include "called_once.hpp"
#include "contexts.hpp"
#include "outcomes.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;
using rung::make_operation;

namespace {

BOOST_AUTO_TEST_CASE(a_thread_of_the_loop_is_refused_to_block) {
    rung::io_context ctx;
    auto [source, op] = make_operation<int>();
    asio::post(ctx, [&op = op, &source = source] {
        BOOST_TEST(thrown_by([&] { op.wait(); }) == deadlock);
        BOOST_TEST(thrown_by([&] { op.wait_for(1s); }) == deadlock);
        BOOST_TEST(thrown_by([&] { op.get(); }) == deadlock);
        BOOST_TEST(!op.wait_for(0s));
        source.set_done(1);
        BOOST_TEST(op.get() == 1);
    });
    ctx.run();
}

BOOST_AUTO_TEST_CASE(a_future_gets_the_value_or_the_error) {
    auto [source, op] = make_operation<int>();
    auto before = op.async_wait(asio::use_future);
    source.set_done(9);
    BOOST_TEST(before.get() == 9);
    BOOST_TEST(op.async_wait(asio::use_future).get() == 9);
    auto [failing, failed] = make_operation<int>();
    auto future = failed.async_wait(asio::use_future);
    failing.set_failed(refused);
    BOOST_TEST(thrown_by([&] { future.get(); }) == refused);
    auto mapped = op.async_wait(asio::use_future([](error_code, int v) { return v + 1; }));
    BOOST_TEST(mapped.get() == 10);
}

BOOST_AUTO_TEST_CASE(a_deferred_wait_may_outlive_the_operation) {
    auto [source, op] = make_operation<int>();
    auto deferred = op.async_wait(asio::deferred);
    auto by_default = op.async_wait();
    op = {};
    source.set_done(2);
    int sum = 0;
    std::move(deferred)(once([&](error_code, int v) { sum += v; }));
    std::move(by_default)(once([&](error_code, int v) { sum += v; }));
    BOOST_TEST(sum == 4);
}

/// Has something follow an operation from its beginning to its end; `start` gets the operation,
/// where to put the progress that it sees, and where the result.
template <class Context, class Start>
void check_following(Start start) {
    Context ctx;
    auto [source, op] = make_operation<int, int>();
    std::vector<int> seen;
    int result = 0;
    start(ctx, op, seen, result);
    ctx.poll();
    for (int i = 1; i < 4; ++i) {
        source.set_progress(i);
        ctx.poll();
    }
    source.set_done(42);
    ctx.run();
    BOOST_TEST(seen == (std::vector<int>{1, 2, 3, 3}), boost::test_tools::per_element());
    BOOST_TEST(result == 42);
}

using followed = rung::operation<int, int>;

asio::awaitable<void> follow(followed& op, std::vector<int>& seen, int& result) {
    auto changes = op.changes();
    while (!op.ready()) {
        co_await op.async_next(changes, asio::use_awaitable);
        changes = op.changes();
        seen.push_back(op.progress());
    }
    result = co_await op.async_wait(asio::use_awaitable);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_coroutine_follows_an_operation, Context, contexts) {
    check_following<Context>([](auto& ctx, followed& op, std::vector<int>& seen, int& result) {
        asio::co_spawn(ctx, follow(op, seen, result), asio::detached);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_follows_an_operation, Context, contexts) {
    check_following<Context>([](auto& ctx, followed& op, std::vector<int>& seen, int& result) {
        rung::spawn(ctx, [&] {
            auto changes = op.changes();
            while (!op.ready()) {
                op.async_next(changes, rung::use_fiber);
                changes = op.changes();
                seen.push_back(op.progress());
            }
            result = op.async_wait(rung::use_fiber);
        });
    });
}

BOOST_AUTO_TEST_CASE(a_coroutine_is_cancelled_while_it_waits) {
    rung::io_context ctx;
    auto [source, op] = make_operation<int>();
    asio::cancellation_signal signal;
    error_code seen;
    asio::co_spawn(
        ctx,
        [&op = op, &seen]() -> asio::awaitable<void> {
            auto [ec, value] = co_await op.async_wait(asio::as_tuple(asio::use_awaitable));
            seen = ec;
        },
        asio::bind_cancellation_slot(signal.slot(), once()));
    ctx.poll();
    signal.emit(asio::cancellation_type::terminal);
    ctx.run();
    BOOST_TEST(seen == aborted);
    source.set_done(1);
}

BOOST_AUTO_TEST_CASE(a_fiber_gets_the_error) {
    rung::io_context ctx;
    auto [source, op] = make_operation<int>();
    error_code thrown;
    error_code in_tuple;
    rung::spawn(ctx, [&, &op = op] {
        thrown = thrown_by([&] { op.async_wait(rung::use_fiber); });
        const auto [ec, value] = op.async_wait(asio::as_tuple(rung::use_fiber));
        in_tuple = ec;
    });
    ctx.poll();
    source.set_failed(refused);
    ctx.run();
    BOOST_TEST(thrown == refused);
    BOOST_TEST(in_tuple == refused);
}

BOOST_AUTO_TEST_CASE(a_fiber_of_the_loop_is_refused_to_block) {
    rung::io_context ctx;
    auto [source, op] = make_operation<int>();
    error_code seen;
    rung::spawn(ctx, [&, &op = op] { seen = thrown_by([&] { op.get(); }); });
    ctx.run();
    BOOST_TEST(seen == deadlock);
}

BOOST_AUTO_TEST_CASE(the_next_change_comes_by_future_and_deferred) {
    auto [source, op] = make_operation<int>();
    auto future = op.async_next(asio::use_future);
    auto deferred = op.async_next(op.changes(), asio::deferred);
    source.set_running();
    BOOST_TEST(future.get() == state::running);
    state seen{};
    std::move(deferred)(once([&](state s) { seen = s; }));
    BOOST_TEST(seen == state::running);  // which came since it was packed
    auto last = op.async_next();
    source.set_done(1);
    std::move(last)(once([&](state s) { seen = s; }));
    BOOST_TEST(seen == state::done);
}

BOOST_AUTO_TEST_CASE(every_kind_of_watcher_sees_the_same_end) {
    rung::io_context ctx;
    auto [source, op] = make_operation<int>();
    std::vector<int> seen;
    const auto note = [&](int value) { seen.push_back(value); };
    auto future = op.async_wait(asio::use_future);
    std::thread blocked([&op = op] { BOOST_TEST(op.get() == 5); });
    op.async_wait([&](error_code, int value) { note(value); });
    rung::spawn(ctx, [&, &op = op] { note(op.async_wait(rung::use_fiber)); });
    asio::co_spawn(
        ctx,
        [&, &op = op]() -> asio::awaitable<void> {
            note(co_await op.async_wait(asio::use_awaitable));
        },
        asio::detached);
    op.watch([&](state) { note(5); });
    ctx.poll();
    source.set_done(5);
    ctx.run();
    blocked.join();
    BOOST_TEST(future.get() == 5);
    BOOST_TEST(seen == std::vector<int>(4, 5), boost::test_tools::per_element());
}

}  // namespace
