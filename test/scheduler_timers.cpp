/// Waits on timers, where the engine has no memory for them.

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_timer.hpp>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <rung/rung.hpp>
#include <utility>

#include "allocations.hpp"
#include "context_fixture.hpp"

namespace asio = boost::asio;

namespace {

using timer = asio::steady_timer::rebind_executor<rung::executor>::other;
using system_timer = asio::system_timer::rebind_executor<rung::executor>::other;

using test_timers = boost::mpl::list<timer, system_timer>;

/// Starts a wait with the nth allocation from now failing. True if that was noticed.
bool starved(timer& t, std::function<void(boost::system::error_code)> handler, std::uint64_t nth) {
    rung::detail::recycler::flush();
    test::fail_allocation(nth);
    try {
        t.async_wait(std::move(handler));
    } catch (const std::bad_alloc&) {
        test::fail_allocation(0);
        return true;
    }
    test::fail_allocation(0);
    return false;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_wait_that_finds_no_memory_throws_and_destroys_its_handler) {
    if (!test::counts_allocations()) {
        return;
    }
    int failures = 0;
    for (std::uint64_t nth = 1; nth < 20; ++nth) {
        test::context_fixture f;
        timer t(f.context(), std::chrono::milliseconds(1));
        // The handler owns an object of the same context, which goes with it.
        auto owned = std::make_shared<timer>(f.context(), std::chrono::hours(1));
        const std::weak_ptr<timer> watched = owned;
        int called = 0;
        const bool threw = starved(
            t, [&called, owned = std::move(owned)](auto) { ++called; }, nth);
        BOOST_TEST(watched.expired() == threw);
        BOOST_TEST(f.context().statistics().timers == (threw ? 0U : 1U));
        f.context().run();
        BOOST_TEST(called == (threw ? 0 : 1));
        if (!threw) {
            break;
        }
        ++failures;
        // The timer is as good as before.
        f.context().restart();
        t.async_wait([&](auto ec) { called += ec ? 0 : 1; });
        f.context().run();
        BOOST_TEST(called == 1);
    }
    BOOST_TEST(failures >= 2);  // for the operation, and for the timer's place
}

BOOST_AUTO_TEST_CASE(further_waits_on_a_timer_need_no_place_of_their_own) {
    if (!test::counts_allocations()) {
        return;
    }
    test::context_fixture f;
    timer t(f.context(), std::chrono::milliseconds(1));
    int called = 0;
    t.async_wait([&](auto) { ++called; });
    // Its operation is the one allocation that a second wait makes.
    BOOST_TEST(starved(
        t, [&](auto) { ++called; }, 1));
    BOOST_TEST(!starved(
        t, [&](auto) { ++called; }, 2));
    f.context().run();
    BOOST_TEST(called == 2);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_timer_may_have_waits_of_several_levels_at_once_and_in_turn, Timer,
                              test_timers) {
    using namespace std::chrono_literals;
    test::context_fixture f;
    Timer t(f.context());
    int ended = 0;
    int aborted = 0;
    const auto wait = [&](rung::priority level) {
        const rung::executor at = asio::require(f.context().get_executor(), level);
        t.async_wait(asio::bind_executor(at, [&](boost::system::error_code ec) {
            ended += ec ? 0 : 1;
            aborted += ec ? 1 : 0;
        }));
    };
    const auto timers = [&] { return f.context().statistics().timers; };
    // From one wait to the next the timer may have to change its place.
    for (const auto first : {rung::priority::low, rung::priority::normal, rung::priority::high}) {
        for (const auto second : {rung::priority::high, rung::priority::normal}) {
            t.expires_after(1h);
            wait(first);
            BOOST_TEST(timers() == 1U);
            t.expires_after(2ms);
            wait(first);
            wait(second);
            wait(rung::priority::normal);
            BOOST_TEST(timers() == 1U);
            f.context().restart();
            f.context().run();
            BOOST_TEST(std::exchange(ended, 0) == 3);
            BOOST_TEST(std::exchange(aborted, 0) == 1);
            BOOST_TEST(timers() == 0U);
        }
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_context_ends_with_timers_of_every_level_and_with_idle_ones, Timer,
                              test_timers) {
    using namespace std::chrono_literals;
    auto told = std::make_shared<int>(0);
    {
        rung::io_context context;
        Timer idle(context, 1h);
        idle.async_wait([](auto) {});
        idle.cancel();
        for (const auto level : {rung::priority::high, rung::priority::low}) {
            // Owned by its own handler, which the context destroys.
            const rung::executor at = asio::require(context.get_executor(), level);
            auto owned = std::make_shared<Timer>(at, 1h);
            Timer& t = *owned;
            t.async_wait([owned = std::move(owned), told](auto) {});
        }
        context.poll();
        BOOST_TEST(context.statistics().timers == 2U);
        BOOST_TEST(told.use_count() == 3);
    }
    BOOST_TEST(told.use_count() == 1);
}
