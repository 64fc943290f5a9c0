/// Waits on timers, where the engine has no memory for them.

#include <boost/asio/steady_timer.hpp>
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
