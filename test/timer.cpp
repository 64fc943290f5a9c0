// Waitable timers: every member, on each clock, against stock Asio.

#include <algorithm>
#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <random>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

template <class Loop, class Clock>
void check_that_no_wait_is_early(Loop& loop) {
    using timer = typename Loop::template timer_of<Clock>;
    for (const std::chrono::nanoseconds d : {0ns, 1ns, 999ns, 20'000ns, 70'000ns, 1'500'000ns}) {
        timer t(loop.context());
        t.expires_after(std::chrono::duration_cast<typename Clock::duration>(d));
        typename Clock::time_point called_at{};
        outcome o;
        t.async_wait([&](error_code ec) {
            called_at = Clock::now();
            into(o)(ec);
        });
        loop.run();
        BOOST_TEST(o == done());
        BOOST_TEST((called_at >= t.expiry()));

        t.expires_after(std::chrono::duration_cast<typename Clock::duration>(d));
        t.wait();
        BOOST_TEST((Clock::now() >= t.expiry()));
    }
}

RUNG_RIVAL_CASE(no_wait_ends_early_on_any_clock) {
    check_that_no_wait_is_early<Loop, steady_clock>(loop);
    check_that_no_wait_is_early<Loop, std::chrono::system_clock>(loop);
    check_that_no_wait_is_early<Loop, std::chrono::high_resolution_clock>(loop);
}

template <class Loop, class Clock>
void check_extreme_expiries(Loop& loop) {
    using timer = typename Loop::template timer_of<Clock>;
    using time_point = typename Clock::time_point;
    for (const time_point past :
         {time_point::min(), time_point(), Clock::now() - 1h, Clock::now()}) {
        timer t(loop.context(), past);
        outcome o;
        t.async_wait(into(o));
        BOOST_TEST(o == outcome{});  // not inside the initiating function
        loop.poll();
        BOOST_TEST(o == done());
        t.wait();
        BOOST_TEST((t.expiry() == past));
    }
    for (const time_point future : {time_point::max(), time_point::max() - 1ns,
                                    Clock::now() + std::chrono::hours(24 * 365 * 100)}) {
        timer t(loop.context(), future);
        outcome o;
        t.async_wait(into(o));
        loop.poll();
        loop.context().restart();
        loop.context().run_for(1ms);
        BOOST_TEST(o == outcome{});
        BOOST_TEST(t.cancel() == 1U);
        loop.run();
        BOOST_TEST(o == failed(error::operation_aborted));
    }
}

RUNG_RIVAL_CASE(an_expiry_may_be_long_past_or_never_come) {
    check_extreme_expiries<Loop, steady_clock>(loop);
    check_extreme_expiries<Loop, std::chrono::system_clock>(loop);
}

RUNG_RIVAL_CASE(a_timer_of_no_expiry_has_expired) {
    typename Loop::timer t(loop.context());
    BOOST_TEST((t.expiry() == steady_clock::time_point()));
    outcome o;
    t.async_wait(into(o));
    loop.run();
    BOOST_TEST(o == done());
}

RUNG_RIVAL_CASE(all_waits_of_a_timer_end_in_their_order) {
    typename Loop::timer t(loop.context(), 2ms);
    std::vector<int> order;
    const auto strand = asio::make_strand(loop.executor());
    for (int i = 0; i < 10; ++i) {
        t.async_wait(
            asio::bind_executor(strand, [&, i](error_code ec) { order.push_back(ec ? -1 : i); }));
    }
    loop.run();
    BOOST_TEST(order.size() == 10U);
    BOOST_TEST((std::count(order.begin(), order.end(), -1) == 0));
    BOOST_TEST((loop.threads() > 1 || std::is_sorted(order.begin(), order.end())));
    BOOST_TEST(t.cancel() == 0U);
}

RUNG_RIVAL_CASE(cancel_ends_every_wait_and_tells_how_many) {
    typename Loop::timer t(loop.context(), 1h);
    std::array<outcome, 5> o;
    BOOST_TEST(t.cancel() == 0U);
    for (outcome& one : o) {
        t.async_wait(into(one));
    }
    BOOST_TEST(t.cancel() == o.size());
    BOOST_TEST(t.cancel() == 0U);
    BOOST_TEST((t.expiry() > steady_clock::now()));
    loop.run();
    for (const outcome& one : o) {
        BOOST_TEST(one == failed(error::operation_aborted));
    }
}

RUNG_RIVAL_CASE(cancel_one_ends_the_oldest_wait) {
    typename Loop::timer t(loop.context(), 1h);
    std::array<outcome, 3> o;
    for (outcome& one : o) {
        t.async_wait(into(one));
    }
    for (std::size_t i = 0; i < o.size(); ++i) {
        BOOST_TEST(t.cancel_one() == 1U);
        for (int tries = 0; tries < 1000 && o[i].calls == 0; ++tries) {
            loop.poll();
        }
        BOOST_TEST(o[i] == failed(error::operation_aborted));
        BOOST_TEST((i + 1 == o.size() || o[i + 1] == outcome{}));
    }
    BOOST_TEST(t.cancel_one() == 0U);
}

RUNG_RIVAL_CASE(a_new_expiry_ends_the_waits_for_the_old_one) {
    typename Loop::timer t(loop.context(), 1h);
    std::array<outcome, 4> o;
    t.async_wait(into(o[0]));
    t.async_wait(into(o[1]));
    BOOST_TEST(t.expires_after(2h) == 2U);
    t.async_wait(into(o[2]));
    BOOST_TEST(t.expires_at(steady_clock::now() + 1ms) == 1U);
    t.async_wait(into(o[3]));
    loop.run();
    BOOST_TEST(o[0] == failed(error::operation_aborted));
    BOOST_TEST(o[1] == failed(error::operation_aborted));
    BOOST_TEST(o[2] == failed(error::operation_aborted));
    BOOST_TEST(o[3] == done());
    BOOST_TEST(t.expires_after(1ms) == 0U);
}

RUNG_RIVAL_CASE(waits_that_have_expired_cannot_be_cancelled) {
    typename Loop::timer t(loop.context(), -1s);
    typename Loop::timer other(loop.context(), -1s);
    outcome o;
    std::size_t cancelled = 1;
    other.async_wait([&](error_code) { cancelled = t.cancel(); });
    t.async_wait(into(o));
    if (loop.threads() == 1) {
        loop.run();
        BOOST_TEST(cancelled == 0U);
        BOOST_TEST(o == done());
    }
}

RUNG_RIVAL_CASE(waits_follow_a_timer_that_is_moved) {
    using timer = typename Loop::timer;
    std::array<outcome, 4> o;
    timer first(loop.context(), 3ms);
    const auto expiry = first.expiry();
    first.async_wait(into(o[0]));
    loop.poll();
    timer second(std::move(first));
    BOOST_TEST((second.expiry() == expiry));
    second.async_wait(into(o[1]));
    timer third(loop.context(), 1h);
    third.async_wait(into(o[2]));
    third = std::move(second);
    loop.run();
    BOOST_TEST(o[0] == done());
    BOOST_TEST(o[1] == done());
    BOOST_TEST(o[2] == failed(error::operation_aborted));
    BOOST_TEST((steady_clock::now() >= expiry));
    first = timer(loop.context(), 1h);
    first.async_wait(into(o[3]));
    timer fourth(std::move(first));
    BOOST_TEST(fourth.cancel() == 1U);
    loop.run();
    BOOST_TEST(o[3] == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(a_destroyed_timer_aborts_its_waits) {
    std::array<outcome, 2> o;
    {
        typename Loop::timer t(loop.context(), 1h);
        t.async_wait(into(o[0]));
        loop.poll();
        t.async_wait(into(o[1]));
    }
    loop.run();
    BOOST_TEST(o[0] == failed(error::operation_aborted));
    BOOST_TEST(o[1] == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(thousands_of_timers_expire_in_the_order_of_their_times) {
    constexpr std::size_t n = 5'000;
    std::mt19937 random(7);
    std::vector<typename Loop::timer> timers;
    std::vector<steady_clock::time_point> order;
    std::atomic<int> early{0};
    std::atomic<std::size_t> aborted{0};
    const auto begin = steady_clock::now();
    const auto strand = asio::make_strand(loop.executor());
    for (std::size_t i = 0; i < n; ++i) {
        timers.emplace_back(loop.context(),
                            begin + std::chrono::nanoseconds(random() % 60'000'000));
    }
    for (auto& t : timers) {
        t.async_wait(asio::bind_executor(strand, [&, expiry = t.expiry()](error_code ec) {
            if (ec) {
                ++aborted;
                return;
            }
            early += steady_clock::now() < expiry ? 1 : 0;
            order.push_back(expiry);
        }));
    }
    std::size_t cancelled = 0;  // so that the structure has holes
    for (std::size_t i = 0; i < n; i += 10) {
        cancelled += timers[i].cancel();
    }
    const auto armed = steady_clock::now();
    loop.run();
    BOOST_TEST(early == 0);
    BOOST_TEST(aborted == cancelled);
    BOOST_TEST(order.size() == n - cancelled);
    // What was overdue before the loop ran comes as it comes.
    std::erase_if(order, [&](auto expiry) { return expiry <= armed; });
    BOOST_TEST((loop.threads() > 1 || std::is_sorted(order.begin(), order.end())));
}

RUNG_RIVAL_CASE(a_periodic_timer_keeps_its_pace) {
    typename Loop::timer t(loop.context(), 0ns);
    int ticks = 0;
    std::function<void(error_code)> tick = [&](error_code) {
        if (++ticks < 100) {
            t.expires_at(t.expiry() + 50us);
            t.async_wait(tick);
        }
    };
    const auto begin = steady_clock::now();
    t.expires_at(begin);
    t.async_wait(tick);
    loop.run();
    BOOST_TEST(ticks == 100);
    BOOST_TEST((steady_clock::now() - begin >= 99 * 50us));
}

RUNG_RIVAL_CASE(another_thread_starts_shortens_and_cancels_waits_of_a_sleeping_loop) {
    auto work = asio::make_work_guard(loop.context());
    typename Loop::timer far(loop.context(), 1h);
    outcome never;
    far.async_wait(into(never));
    std::atomic<int> bad{0};
    std::thread outside([&] {
        for (int i = 0; i < 30; ++i) {
            typename Loop::timer t(loop.context(), i % 2 == 0 ? 1h : 100us);
            std::atomic<int> calls{0};
            std::atomic<bool> aborted{false};
            const auto note = [&](error_code ec) {
                aborted = ec == error::operation_aborted;
                ++calls;
            };
            t.async_wait(note);
            std::this_thread::sleep_for(std::chrono::microseconds(i * 20));
            if (i % 4 == 0) {
                bad += t.cancel() == 1 ? 0 : 1;
            } else if (i % 4 == 2) {
                bad += t.expires_after(50us) == 1 ? 0 : 1;
                t.async_wait(note);
            }
            while (calls < (i % 4 == 2 ? 2 : 1)) {
                std::this_thread::yield();
            }
            bad += aborted != (i % 4 == 0) && i % 4 != 2 ? 1 : 0;
        }
        work.reset();
        asio::post(loop.context(), [&] { far.cancel(); });
    });
    loop.run();
    outside.join();
    BOOST_TEST(bad == 0);
    BOOST_TEST(never == failed(error::operation_aborted));
}

}  // namespace
