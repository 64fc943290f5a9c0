// Timers on clocks that a program brings itself, and timers with other executors.

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using namespace std::chrono_literals;

/// A clock that stands still until it is told to go on.
struct manual_clock {
    using duration = std::chrono::milliseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<manual_clock>;
    static constexpr bool is_steady = false;
    static inline std::atomic<rep> now_ms{1'000};
    static time_point now() noexcept { return time_point(duration(now_ms)); }
};

/// One of its minutes may pass within a millisecond, so that it is asked again that soon.
struct impatient_traits {
    static manual_clock::duration to_wait_duration(const manual_clock::duration&) { return 1ms; }
    static manual_clock::duration to_wait_duration(const manual_clock::time_point&) { return 1ms; }
};

/// A clock that counts whole seconds, and whose time points are of another type than its now().
struct coarse_clock {
    using duration = std::chrono::duration<long long, std::ratio<1, 50>>;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<coarse_clock>;
    static constexpr bool is_steady = true;
    static time_point now() noexcept {
        return time_point(std::chrono::duration_cast<duration>(
            std::chrono::steady_clock::now().time_since_epoch()));
    }
};

/// A clock that may be set, and counts how often it is read.
struct settable_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<settable_clock>;
    static constexpr bool is_steady = false;
    static inline std::atomic<rep> offset_ns{0};
    static inline std::atomic<int> readings{0};
    static time_point now() noexcept {
        ++readings;
        return time_point(std::chrono::steady_clock::now().time_since_epoch() +
                          duration(offset_ns));
    }
};

namespace {

RUNG_RIVAL_CASE(a_clock_with_wait_traits_decides_when_its_timers_expire) {
    using timer = typename Loop::template timer_of<manual_clock, impatient_traits>;
    manual_clock::now_ms = 1'000;
    timer t(loop.context(), std::chrono::minutes(1));
    timer past(loop.context(), manual_clock::now());
    outcome o;
    outcome at_once;
    t.async_wait(into(o));
    past.async_wait(into(at_once));
    loop.context().restart();
    loop.context().run_for(5ms);
    BOOST_TEST(o == outcome{});
    BOOST_TEST(at_once == done());
    std::thread outside([] {
        std::this_thread::sleep_for(3ms);
        manual_clock::now_ms += 59'999;
        std::this_thread::sleep_for(3ms);
        manual_clock::now_ms += 1;
    });
    loop.run();
    outside.join();
    BOOST_TEST(o == done());
    BOOST_TEST((t.expiry() <= manual_clock::now()));
    t.wait();
}

RUNG_RIVAL_CASE(a_clock_that_is_set_back_makes_its_timers_wait_again) {
    using timer = typename Loop::template timer_of<manual_clock, impatient_traits>;
    manual_clock::now_ms = 1'000'000;
    timer t(loop.context(), 1min);
    outcome o;
    t.async_wait(into(o));
    manual_clock::now_ms = 1'000;
    loop.context().restart();
    loop.context().run_for(5ms);
    BOOST_TEST(o == outcome{});
    BOOST_TEST(t.cancel() == 1U);
    loop.run();
    BOOST_TEST(o == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(a_coarse_clock_is_not_early_either) {
    using timer = typename Loop::template timer_of<coarse_clock>;
    timer t(loop.context());
    t.expires_at(coarse_clock::now() + coarse_clock::duration(1));
    outcome o;
    coarse_clock::time_point called_at;
    t.async_wait([&](error_code ec) {
        called_at = coarse_clock::now();
        into(o)(ec);
    });
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST((called_at >= t.expiry()));
}

RUNG_RIVAL_CASE(a_thousand_idle_timers_of_a_clock_are_one_look_at_it_now_and_then) {
    using timer = typename Loop::template timer_of<settable_clock>;
    std::vector<timer> timers;
    std::atomic<int> aborted{0};
    for (int i = 0; i < 1'000; ++i) {
        timers.emplace_back(loop.context(), std::chrono::hours(1) + std::chrono::seconds(i));
        timers.back().async_wait(
            [&](error_code ec) { aborted += ec == error::operation_aborted ? 1 : 0; });
    }
    loop.context().restart();
    loop.context().run_for(10ms);
    settable_clock::readings = 0;
    loop.context().run_for(2'100ms);
    BOOST_TEST(settable_clock::readings <= 20);
    timers.clear();
    loop.run();
    BOOST_TEST(aborted == 1'000);
}

RUNG_RIVAL_CASE(one_look_at_a_clock_that_was_set_finds_every_timer_that_is_due) {
    using timer = typename Loop::template timer_of<settable_clock>;
    timer far(loop.context(), std::chrono::hours(1));
    timer near(loop.context(), 20ms);
    timer farther(loop.context(), std::chrono::hours(5));
    outcome f, n, o;
    far.async_wait(into(f));
    near.async_wait(into(n));
    farther.async_wait(into(o));
    settable_clock::offset_ns += std::chrono::nanoseconds(2h).count();
    loop.context().restart();
    // Stock looks when the first timer was to expire, and so do we at the latest.
    loop.context().run_for(500ms);
    BOOST_TEST(f == done());
    BOOST_TEST(n == done());
    BOOST_TEST(o == outcome{});
    settable_clock::offset_ns += std::chrono::nanoseconds(5h).count();
    farther.cancel();
    loop.run();
    BOOST_TEST(o == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(timers_of_a_clock_are_moved_replaced_cancelled_and_destroyed) {
    using timer = typename Loop::template timer_of<settable_clock>;
    std::vector<timer> timers;
    std::vector<outcome> o(40);
    for (std::size_t i = 0; i < o.size(); ++i) {  // moves them as it grows
        timers.emplace_back(loop.context(), std::chrono::milliseconds((i * 7) % 20));
        timers.back().async_wait(into(o[i]));
    }
    timers[3] = std::move(timers[30]);
    timers[5] = timer(loop.context());
    timers[7].cancel();
    timers.erase(timers.begin() + 20, timers.begin() + 25);
    loop.run();
    for (std::size_t i = 0; i < o.size(); ++i) {
        const bool aborted = i == 3 || i == 5 || i == 7 || (i >= 20 && i < 25);
        BOOST_TEST((o[i] == (aborted ? failed(error::operation_aborted) : done())));
    }
}

RUNG_RIVAL_CASE(timers_of_several_clocks_wait_side_by_side) {
    typename Loop::template timer_of<std::chrono::system_clock> system(loop.context(), 2ms);
    typename Loop::template timer_of<coarse_clock> coarse(loop.context(), coarse_clock::now());
    typename Loop::timer steady(loop.context(), 1ms);
    std::array<outcome, 3> o;
    system.async_wait(into(o[0]));
    coarse.async_wait(into(o[1]));
    steady.async_wait(into(o[2]));
    loop.run();
    for (const outcome& one : o) {
        BOOST_TEST(one == done());
    }
}

RUNG_RIVAL_CASE(a_timer_over_a_strand_runs_its_handlers_there) {
    using strand = asio::strand<typename Loop::executor_type>;
    using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                             asio::wait_traits<std::chrono::steady_clock>, strand>;
    const strand at = asio::make_strand(loop.executor());
    timer t(at, 1ms);
    int inside = 0;
    for (int i = 0; i < 50; ++i) {
        t.async_wait([&](error_code) { inside += at.running_in_this_thread() ? 1 : 0; });
    }
    loop.run();
    BOOST_TEST(inside == 50);
}

RUNG_RIVAL_CASE(a_timer_turns_into_one_with_a_default_token) {
    using executor = typename Loop::executor_type;
    using token = asio::use_awaitable_t<executor>;
    using awaited = typename token::template as_default_on_t<typename Loop::timer>;
    typename Loop::timer plain(loop.context(), 2ms);
    outcome o;
    plain.async_wait(into(o));
    awaited t(std::move(plain));
    bool resumed = false;
    asio::co_spawn(
        loop.executor(),
        [&]() -> asio::awaitable<void, executor> {
            co_await t.async_wait();
            t.expires_after(1ms);
            co_await t.async_wait();
            resumed = true;
        },
        asio::detached);
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST(resumed);
}

}  // namespace
