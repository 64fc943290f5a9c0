// The executor that gives each function a fiber of its own.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

struct fixture : test::time_limit {};

/// Whether the calling code may wait.
bool waits() {
    if (!rung::this_fiber::exists()) {
        return false;
    }
    rung::this_fiber::sleep_for(1us);
    return true;
}

/// Everything that a fiber executor must do, whatever it stands on.
template <class Context>
void check(Context& ctx, const rung::fiber_executor& fibers) {
    int waited = 0;
    const auto f = [&] { waited += waits() ? 1 : 0; };
    asio::post(fibers, f);
    asio::dispatch(fibers, f);
    asio::defer(fibers, f);
    fibers.execute(f);
    asio::any_io_executor any = fibers;
    asio::post(any, f);
    asio::steady_timer t(ctx, 1ms);
    t.async_wait(asio::bind_executor(fibers, [&](error_code) { f(); }));
    asio::co_spawn(
        fibers,
        [&]() -> asio::awaitable<void> {
            f();
            co_await asio::post(asio::use_awaitable);
            f();
        },
        asio::detached);
    asio::post(asio::make_strand(fibers), f);
    asio::post(asio::prefer(fibers, asio::execution::outstanding_work.tracked), f);
    ctx.run();
    BOOST_TEST(waited == 10);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_executor, fixture)

static_assert(asio::execution::is_executor<rung::fiber_executor>::value);
static_assert(std::is_convertible_v<rung::fiber_executor, asio::any_io_executor>);

BOOST_AUTO_TEST_CASE_TEMPLATE(runs_functions_in_fibers_over_every_executor, Context,
                              test::contexts) {
    const auto over = [](auto make) {
        Context ctx;
        check(ctx, make(ctx));
    };
    over([](Context& ctx) { return rung::fiber_executor(ctx); });
    over([](Context& ctx) { return rung::fiber_executor(ctx.get_executor()); });
    over([](Context& ctx) { return rung::fiber_executor(asio::make_strand(ctx)); });
    over([](Context& ctx) {
        return rung::fiber_executor(asio::any_io_executor(ctx.get_executor()));
    });
    over([](Context& ctx) {
        return rung::fiber_executor(asio::any_io_executor(asio::make_strand(ctx)));
    });
    over([](Context& ctx) { return rung::fiber_executor(ctx, {.stack_size = 256 << 10}); });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(has_the_properties_of_what_is_below, Context, test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    BOOST_TEST(&asio::query(fibers, asio::execution::context) ==
               static_cast<asio::execution_context*>(&ctx));
    BOOST_TEST((asio::query(fibers, asio::execution::blocking) ==
                asio::execution::blocking.possibly));
    const auto never = asio::require(fibers, asio::execution::blocking.never);
    BOOST_TEST((asio::query(never, asio::execution::blocking) == asio::execution::blocking.never));
    const auto tracked = asio::prefer(fibers, asio::execution::outstanding_work.tracked);
    BOOST_TEST((asio::query(tracked, asio::execution::outstanding_work) ==
                asio::execution::outstanding_work.tracked));
    const auto next = asio::prefer(fibers, asio::execution::relationship.continuation);
    BOOST_TEST((asio::query(next, asio::execution::relationship) ==
                asio::execution::relationship.continuation));
    BOOST_TEST((asio::query(fibers, asio::execution::mapping) == asio::execution::mapping.thread));
    BOOST_TEST((fibers == rung::fiber_executor(ctx)));
    BOOST_TEST((fibers != never));
    Context other;
    BOOST_TEST((fibers != rung::fiber_executor(other)));
}

BOOST_AUTO_TEST_CASE(carries_the_priority) {
    rung::io_context ctx;
    const rung::fiber_executor fibers(ctx);
    const auto urgent = rung::with_priority(fibers, rung::priority::high);
    static_assert(std::is_same_v<decltype(urgent), const rung::fiber_executor>);
    std::string order;
    asio::post(fibers, [&] { order += "normal "; });
    asio::post(urgent, [&] {
        BOOST_TEST((rung::this_fiber::get_priority() == rung::priority::high));
        order += "urgent ";
    });
    ctx.run();
    BOOST_TEST(order == "urgent normal ");
    BOOST_TEST(ctx.statistics().handlers[0] >= 1U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dispatch_runs_at_once_where_it_may, Context, test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    std::string order;
    asio::dispatch(fibers, [&] { order += "posted "; });
    BOOST_TEST(order.empty());
    asio::post(fibers, [&] {
        order += "outer ";
        const auto outer = rung::this_fiber::get_id();
        asio::dispatch(fibers, [&] {
            BOOST_TEST((rung::this_fiber::get_id() != outer));
            order += "inner ";
            rung::this_fiber::yield();
            order += "end";
        });
        BOOST_TEST((rung::this_fiber::get_id() == outer));
        order += "again ";
    });
    ctx.run();
    BOOST_TEST(order == "posted outer inner again end");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_a_function_throws_leaves_run, Context, test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    int after = 0;
    asio::post(fibers, [] { throw std::runtime_error("at once"); });
    asio::post(fibers, [] {
        rung::this_fiber::yield();
        throw std::invalid_argument("later");
    });
    asio::post(fibers, [&] { ++after; });
    BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
    BOOST_CHECK_THROW(ctx.run(), std::invalid_argument);
    ctx.run();
    BOOST_TEST(after == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_strand_runs_one_fiber_at_a_time, Context, test::shared_contexts) {
    Context ctx;
    const rung::fiber_executor fibers(asio::make_strand(ctx));
    constexpr int n = 200;
    int inside = 0;  // without a lock: that is what the strand is for
    int done = 0;
    for (int i = 0; i < n; ++i) {
        asio::post(fibers, [&] {
            for (int k = 0; k < 5; ++k) {
                BOOST_REQUIRE(++inside == 1);
                --inside;
                rung::this_fiber::yield();
            }
            ++done;
        });
    }
    test::thread_group(3, [&](int) { ctx.run(); }).join();
    BOOST_TEST(done == n);
}

BOOST_AUTO_TEST_CASE(spawn_goes_to_the_executor_below) {
    rung::io_context ctx;
    const rung::fiber_executor fibers(ctx);
    bool ran = false;
    rung::spawn(fibers, [&] { ran = waits(); });
    ctx.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(too_few_stacks_is_an_exception_from_run) {
    rung::io_context ctx;
    rung::stack_pool pool({.limit = 1});
    const rung::fiber_executor fibers(ctx, {.stacks = &pool});
    asio::post(fibers, [] { rung::this_fiber::sleep_for(1ms); });
    asio::post(fibers, [] { BOOST_ERROR("there is no stack for it"); });
    BOOST_CHECK_EXCEPTION(ctx.run(), boost::system::system_error, [](const auto& e) {
        return e.code() == rung::error::stack_limit;
    });
    ctx.run();
}

BOOST_AUTO_TEST_SUITE_END()
