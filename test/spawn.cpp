// Asio's stackful coroutines on our context. They need Boost.Context's library.

#if !defined(RUNG_HAS_BOOST_CONTEXT)

// An exit code that ctest takes for a skipped test, in a program with the framework's main().
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>

BOOST_AUTO_TEST_CASE(spawn) {
    std::puts("SKIP: no Boost.Context, or a sanitizer that cannot follow it");
    std::fflush(stdout);
    std::_Exit(77);
}

#else

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <rung/rung.hpp>
#include <stdexcept>

#include "called_once.hpp"
#include "context_fixture.hpp"
#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::yield_context;
using boost::system::error_code;
using boost::system::system_error;
using timer = test::timer_of<rung::io_context>;

namespace {

struct fixture : test::time_limit, test::context_fixture {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(spawn, fixture)

BOOST_AUTO_TEST_CASE(waits_posts_and_gives_its_result) {
    auto result = asio::spawn(
        context(),
        [&](yield_context yield) {
            timer t(context(), 1ms);
            t.async_wait(yield);
            asio::post(yield);
            asio::post(context(), yield);
            asio::defer(context(), yield);
            asio::dispatch(context(), yield);
            return 7;
        },
        asio::use_future);
    context().run();
    BOOST_TEST(result.get() == 7);
}

BOOST_AUTO_TEST_CASE(errors_are_thrown_or_stored) {
    asio::spawn(
        context(),
        [&](yield_context yield) {
            timer t(context(), 1h);
            timer canceller(context());
            for (int i = 0; i < 2; ++i) {
                canceller.expires_after(1ms);
                canceller.async_wait([&](error_code) { t.cancel(); });
                error_code ec;
                if (i == 0) {
                    t.async_wait(yield[ec]);
                } else {
                    BOOST_CHECK_THROW(t.async_wait(yield), system_error);
                    ec = asio::error::operation_aborted;
                }
                BOOST_TEST(ec == asio::error::operation_aborted);
            }
        },
        test::once([](const std::exception_ptr& e) { BOOST_TEST(!e); }));
    context().run();
}

BOOST_AUTO_TEST_CASE(exceptions_reach_the_token) {
    auto result = asio::spawn(
        context(),
        [&](yield_context yield) {
            asio::post(yield);
            throw std::runtime_error("thrown");
        },
        asio::use_future);
    context().run();
    BOOST_CHECK_THROW(result.get(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_priority_is_carried) {
    const auto before = context().statistics().handlers;
    asio::spawn(
        asio::require(context().get_executor(), rung::priority::high),
        [&](yield_context yield) {
            timer t(context(), 1ms);
            t.async_wait(yield);
            asio::post(yield);
        },
        asio::detached);
    context().run();
    const auto after = context().statistics().handlers;
    BOOST_TEST(after[0] > before[0]);
    BOOST_TEST(after[1] == before[1]);
}

BOOST_AUTO_TEST_CASE(a_signal_cancels_what_it_waits_for) {
    asio::cancellation_signal signal;
    bool aborted = false;
    asio::spawn(
        context(),
        [&](yield_context yield) {
            timer t(context(), 1h);
            error_code ec;
            t.async_wait(yield[ec]);
            aborted = ec == asio::error::operation_aborted;
        },
        asio::bind_cancellation_slot(signal.slot(), test::once()));
    timer soon(context(), 1ms);
    soon.async_wait([&](error_code) { signal.emit(asio::cancellation_type::terminal); });
    context().run();
    BOOST_TEST(aborted);
}

BOOST_AUTO_TEST_CASE(many_over_two_threads) {
    constexpr int fibers = 100;
    constexpr int steps = 10;
    std::atomic<int> done = 0;
    for (int i = 0; i < fibers; ++i) {
        asio::spawn(
            asio::make_strand(context()),
            [&](yield_context yield) {
                timer t(context());
                for (int s = 0; s < steps; ++s) {
                    asio::post(yield);
                    t.expires_after(std::chrono::microseconds(s));
                    t.async_wait(yield);
                    ++done;
                }
            },
            asio::detached);
    }
    test::thread_group(2, [&](int) { context().run(); }).join();
    BOOST_TEST(done == fibers * steps);
}

BOOST_AUTO_TEST_CASE(stacks_unwind_with_the_context) {
    const auto owned = std::make_shared<int>();
    {
        rung::io_context ctx;
        for (int i = 0; i < 3; ++i) {
            asio::spawn(
                ctx,
                [owned, i, &ctx](yield_context yield) {
                    const auto on_stack = owned;
                    for (int n = 0; n < i; ++n) {
                        asio::post(yield);
                    }
                    timer t(ctx, 1h);
                    t.async_wait(yield);
                },
                asio::detached);
        }
        ctx.poll_one();
        ctx.poll_one();
        BOOST_TEST(owned.use_count() > 1);
    }
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

#endif
