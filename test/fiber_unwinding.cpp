// Who unwinds a fiber whose wait will never end, where, and how often.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <rung/rung.hpp>
#include <thread>

#include "contexts.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using rung::use_fiber;

namespace {

struct fixture : test::time_limit {};

/// What says, by its end, that the stack on which it lies was unwound.
auto at_exit(auto f) {
    return std::shared_ptr<void>(nullptr, [f](void*) { f(); });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_unwinding, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(what_was_woken_and_has_not_gone_on_is_unwound_once, Context,
                              test::contexts) {
    int unwound = 0;
    const auto wait_for = [&](Context& ctx, rung::event& e) {
        rung::spawn(ctx, [&] {
            const auto here = at_exit([&] { ++unwound; });
            e.wait();
        });
        ctx.poll();
    };
    {
        Context ctx;
        rung::event e(ctx);
        wait_for(ctx, e);
        e.set();
    }
    BOOST_TEST(unwound == 1);
    {
        Context ctx;
        rung::event e(ctx);  // goes first, and so ends the wait
        wait_for(ctx, e);
    }
    BOOST_TEST(unwound == 2);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_is_woken_by_unwinding_is_unwound_once, Context,
                              test::contexts) {
    int unwound = 0;
    {
        Context ctx;
        const auto m = std::make_shared<rung::mutex>(ctx);
        const auto never = std::make_shared<rung::event>(ctx);
        for (int i = 0; i < 3; ++i) {
            rung::spawn(ctx, [&, m, never] {
                const auto here = at_exit([&] { ++unwound; });
                const std::lock_guard lock(*m);
                never->wait();
            });
        }
        ctx.poll();
    }
    BOOST_TEST(unwound == 3);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fibers_whose_memory_goes_while_others_are_unwound, Context,
                              test::contexts) {
    // Each parent's stack is given back once its child is unwound, maybe before its own turn.
    constexpr int parents = 20;
    int unwound = 0;
    rung::stack_pool pool({.keep = 0});
    {
        Context ctx;
        for (int i = 0; i < parents; ++i) {
            rung::spawn(ctx, {.stacks = &pool}, [&] {
                const auto here = at_exit([&] { ++unwound; });
                rung::spawn(
                    ctx, {.stacks = &pool}, [] { rung::this_fiber::sleep_for(1h); }, use_fiber);
            });
        }
        ctx.poll();
        ctx.poll();
    }
    BOOST_TEST(unwound == parents);
}

BOOST_AUTO_TEST_CASE(a_handler_dropped_on_another_thread_unwinds_the_fiber_on_its_own) {
    rung::io_context ctx;
    auto work = asio::make_work_guard(ctx);
    std::thread::id unwound_on;
    std::shared_ptr<void> kept;
    std::promise<void> waits;
    rung::spawn(ctx, [&] {
        const auto here = at_exit([&] { unwound_on = std::this_thread::get_id(); });
        asio::post(ctx, [&] { waits.set_value(); });
        asio::async_initiate<const rung::use_fiber_t&, void()>(
            [&](auto handler) {
                kept = std::make_shared<decltype(handler)>(std::move(handler));
            },
            use_fiber);
    });
    std::thread loop([&] { ctx.run(); });
    const std::thread::id home = loop.get_id();
    waits.get_future().wait();
    kept.reset();
    work.reset();
    loop.join();
    BOOST_TEST((unwound_on == home));
}

BOOST_AUTO_TEST_CASE(a_handler_dropped_elsewhere_before_its_fiber_waits_unwinds_it_then) {
    rung::io_context ctx;
    std::thread::id unwound_on;
    rung::spawn(ctx, [&] {
        const auto here = at_exit([&] { unwound_on = std::this_thread::get_id(); });
        asio::async_initiate<const rung::use_fiber_t&, void()>(
            [](auto handler) { std::thread([h = std::move(handler)] {}).join(); }, use_fiber);
    });
    ctx.run();
    BOOST_TEST((unwound_on == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_SUITE_END()
