// Several threads in one context, and others that post to it.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <rung/rung.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using rung::io_context;
using test::thread_group;
using timer = test::timer_of<io_context>;
using work_guard = asio::executor_work_guard<io_context::executor_type>;

namespace {

/// So that threads meet in different ways from round to round.
void dawdle(int round) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(round % 50);
    while (std::chrono::steady_clock::now() < until) {
    }
}

/// Something that one thread does and another waits for. Copies share it, so that it outlives both.
class event {
public:
    void set() const { promise_->set_value(); }
    /// False if it does not come. The test macros may be used on one thread only, so keep it.
    [[nodiscard]] bool wait() const {
        return promise_->get_future().wait_for(test::long_enough) == std::future_status::ready;
    }

private:
    std::shared_ptr<std::promise<void>> promise_ = std::make_shared<std::promise<void>>();
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(threads, test::time_limit)

BOOST_AUTO_TEST_CASE(eight_threads_post_while_four_run) {
    constexpr int posters = 8;
    constexpr int posts = 20'000;
    io_context ctx;
    std::atomic<int> ran = 0;
    std::atomic<int> ran_nested = 0;
    std::vector<std::atomic<std::uint8_t>> seen(posters * posts);
    work_guard guard = asio::make_work_guard(ctx);
    thread_group runners(4, [&](int) { ctx.run(); });
    thread_group(posters, [&](int poster) {
        const std::array levels{rung::priority::high, rung::priority::normal, rung::priority::low};
        for (int i = 0; i < posts; ++i) {
            const auto p = levels[static_cast<std::size_t>(i % 3)];
            asio::post(asio::require(ctx.get_executor(), p), [&, poster, i] {
                seen[static_cast<std::size_t>(poster * posts + i)].fetch_add(1);
                ran.fetch_add(1);
                if (i % 16 == 0) {
                    asio::post(ctx, [&] { ran_nested.fetch_add(1); });
                }
            });
        }
    }).join();
    guard.reset();
    runners.join();
    BOOST_TEST(ran == posters * posts);
    BOOST_TEST(ran_nested == posters * (posts / 16));
    BOOST_TEST(std::all_of(seen.begin(), seen.end(), [](auto& n) { return n == 1; }));
}

BOOST_AUTO_TEST_CASE(one_running_thread_keeps_the_order_of_each_poster) {
    constexpr int posts = 20'000;
    io_context ctx;
    std::array<int, 4> next{};
    bool in_order = true;
    work_guard guard = asio::make_work_guard(ctx);
    thread_group runner(1, [&](int) { ctx.run(); });
    thread_group(4, [&](int poster) {
        for (int i = 0; i < posts; ++i) {
            asio::post(ctx, [&, poster, i] {
                int& expected = next[static_cast<std::size_t>(poster)];
                in_order = in_order && expected == i;
                ++expected;
            });
        }
    }).join();
    guard.reset();
    runner.join();
    BOOST_TEST(in_order);
    BOOST_TEST(next == (std::array{posts, posts, posts, posts}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(stop_on_any_thread_ends_every_run) {
    for (int round = 0; round < 100; ++round) {
        io_context ctx;
        const work_guard guard = asio::make_work_guard(ctx);
        timer far(ctx, 1h);
        far.async_wait([](auto) {});
        const std::function<void()> busy = [&] { asio::post(ctx, [&] { busy(); }); };
        if (round % 2 == 1) {
            busy();
        }
        thread_group runners(3, [&](int i) {
            if (i == 0) {
                ctx.run_for(test::long_enough);
            } else {
                ctx.run();
            }
        });
        dawdle(round * 7);
        if (round % 4 < 2) {
            ctx.stop();
        } else {
            asio::post(ctx, [&] { ctx.stop(); });
        }
        runners.join();
        BOOST_TEST(ctx.stopped());
    }
}

BOOST_AUTO_TEST_CASE(work_given_up_by_another_thread_ends_every_run) {
    for (int round = 0; round < 300; ++round) {
        io_context ctx;
        auto guard = std::make_unique<work_guard>(ctx.get_executor());
        auto second = std::make_unique<work_guard>(ctx.get_executor());
        thread_group runners(1 + round % 3, [&](int) { ctx.run(); });
        asio::post(ctx, [&] {  // taken up on a thread of the loop, given up on another
            auto third = std::make_shared<work_guard>(ctx.get_executor());
            std::thread([third] {}).detach();
        });
        dawdle(round);
        thread_group(1, [&](int) { guard.reset(); }).join();
        dawdle(round / 2);
        second.reset();
        runners.join();
        BOOST_TEST(ctx.stopped());
    }
}

BOOST_AUTO_TEST_CASE(threads_join_and_leave_while_others_run) {
    constexpr int posts = 30'000;
    io_context ctx;
    std::atomic<int> ran = 0;
    std::atomic<bool> over = false;
    work_guard guard = asio::make_work_guard(ctx);
    thread_group runners(1, [&](int) { ctx.run(); });
    thread_group visitors(3, [&](int i) {
        while (!over) {
            switch (i) {
                case 0:
                    ctx.run_for(200us);
                    break;
                case 1:
                    ctx.run_one_for(100us);
                    break;
                default:
                    ctx.poll();
                    std::this_thread::yield();
                    break;
            }
        }
    });
    std::vector<std::unique_ptr<timer>> timers;
    for (int i = 0; i < posts; ++i) {
        asio::post(ctx, [&] { ++ran; });
        if (i % 500 == 0) {
            timers.push_back(std::make_unique<timer>(ctx, std::chrono::microseconds(i % 1'000)));
            timers.back()->async_wait([&](auto) { ++ran; });
            std::this_thread::sleep_for(100us);
        }
    }
    guard.reset();
    runners.join();
    over = true;
    visitors.join();
    BOOST_TEST(ran == posts + posts / 500);
}

BOOST_AUTO_TEST_CASE(a_follower_takes_over_when_the_sleeper_leaves) {
    io_context ctx;
    timer later(ctx, 30ms);
    bool fired = false;
    later.async_wait([&](auto) { fired = true; });
    // The first thread to come sleeps in the kernel for all of them, and leaves early.
    thread_group early(1, [&](int) { ctx.run_for(5ms); });
    std::this_thread::sleep_for(1ms);
    thread_group staying(2, [&](int) { ctx.run(); });
    early.join();
    staying.join();
    BOOST_TEST(fired);
}

BOOST_AUTO_TEST_CASE(each_thread_returns_at_its_own_time) {
    io_context ctx;
    const work_guard guard = asio::make_work_guard(ctx);
    const auto begin = std::chrono::steady_clock::now();
    std::atomic<int> in_time = 0;
    thread_group(4, [&](int i) {
        const auto time = std::chrono::milliseconds(5 + 10 * (3 - i));
        ctx.run_for(time);
        const auto spent = std::chrono::steady_clock::now() - begin;
        in_time += spent >= time && spent < test::long_enough ? 1 : 0;
    }).join();
    BOOST_TEST(in_time == 4);
    BOOST_TEST(!ctx.stopped());
}

BOOST_AUTO_TEST_CASE(a_handler_may_wait_for_another_threads_handler) {
    for (int round = 0; round < 60; ++round) {
        io_context ctx;
        work_guard guard = asio::make_work_guard(ctx);
        thread_group runners(2, [&](int) { ctx.run(); });
        dawdle(round * 5);
        const event set;
        const event ended;
        std::atomic<bool> in_time = false;
        timer soon(ctx);
        asio::post(ctx, [&] {
            switch (round % 4) {
                case 0:
                    asio::post(ctx, [set] { set.set(); });
                    break;
                case 1:
                    soon.expires_after(100us);
                    soon.async_wait([set](auto) { set.set(); });
                    break;
                case 2:
                    std::thread([&ctx, set] { asio::post(ctx, [set] { set.set(); }); }).detach();
                    break;
                default:
                    soon.expires_after(1h);
                    soon.async_wait([set](auto) { set.set(); });
                    soon.cancel();
                    break;
            }
            in_time = set.wait();
            ended.set();
        });
        BOOST_TEST(ended.wait());
        BOOST_TEST(in_time);
        guard.reset();
    }
}

BOOST_AUTO_TEST_CASE(as_many_handlers_run_at_once_as_there_are_threads) {
    constexpr int threads = 4;
    for (int round = 0; round < 50; ++round) {
        io_context ctx;
        std::latch meeting(threads);
        work_guard guard = asio::make_work_guard(ctx);
        thread_group runners(threads, [&](int) { ctx.run(); });
        dawdle(round * 11);
        const auto meet = [&] { meeting.arrive_and_wait(); };
        if (round % 2 == 0) {
            for (int i = 0; i < threads; ++i) {
                asio::post(ctx, meet);
            }
        } else {
            asio::post(ctx, [&] {
                for (int i = 1; i < threads; ++i) {
                    asio::post(ctx, meet);
                }
                meet();
            });
        }
        guard.reset();
    }
}

BOOST_AUTO_TEST_CASE(an_exception_leaves_one_thread_only) {
    io_context ctx;
    std::atomic<int> ran = 0;
    std::atomic<int> caught = 0;
    work_guard guard = asio::make_work_guard(ctx);
    thread_group runners(3, [&](int) {
        for (;;) {
            try {
                ctx.run();
                return;
            } catch (const std::runtime_error&) {
                ++caught;
            }
        }
    });
    for (int i = 0; i < 3'000; ++i) {
        asio::post(ctx, [&, i] {
            ++ran;
            if (i % 10 == 0) {
                throw std::runtime_error("thrown");
            }
            if (i % 10 == 1) {
                asio::dispatch(ctx, [] { throw std::runtime_error("thrown inline"); });
            }
        });
    }
    guard.reset();
    runners.join();
    BOOST_TEST(ran == 3'000);
    BOOST_TEST(caught == 600);
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE(timers_may_be_set_and_cancelled_on_any_thread) {
    constexpr int rounds = 1'000;
    io_context ctx;
    std::atomic<int> ended = 0;
    work_guard guard = asio::make_work_guard(ctx);
    thread_group runners(2, [&](int) { ctx.run(); });
    thread_group(4, [&](int setter) {
        for (int i = 0; i < rounds; ++i) {
            // Some end by themselves, some are cancelled, and some have both tried.
            timer t(ctx, std::chrono::microseconds(i % 3 == 0 ? 3'600'000'000 : i % 200));
            const event done;
            t.async_wait([&ended, done](auto) {
                ++ended;
                done.set();
            });
            if (i % 3 == 0 || setter % 2 == 0) {
                dawdle(i);
                t.cancel();
            }
            if (!done.wait()) {
                return;
            }
        }
    }).join();
    guard.reset();
    runners.join();
    BOOST_TEST(ended == 4 * rounds);
    BOOST_TEST(ctx.statistics().timers == 0U);
}

BOOST_AUTO_TEST_CASE(two_contexts_may_post_to_each_other) {
    io_context a;
    io_context b;
    constexpr int rounds = 5'000;
    int count = 0;
    work_guard guard_a = asio::make_work_guard(a);
    work_guard guard_b = asio::make_work_guard(b);
    std::function<void()> in_b;
    std::function<void()> in_a = [&] {
        if (++count < rounds) {
            asio::post(b, in_b);
        } else {
            guard_a.reset();
            guard_b.reset();
        }
    };
    in_b = [&] { asio::post(a, in_a); };
    asio::post(a, in_a);
    thread_group runner(1, [&](int) { a.run(); });
    b.run();
    runner.join();
    BOOST_TEST(count == rounds);
}

BOOST_AUTO_TEST_CASE(a_context_may_end_on_another_thread_than_those_that_ran_it) {
    for (int round = 0; round < 20; ++round) {
        auto ctx = std::make_unique<io_context>();
        timer far(*ctx, 1h);
        auto owned = std::make_shared<int>();
        far.async_wait([owned](auto) {});
        thread_group(2, [&](int) { ctx->run_for(200us); }).join();
        asio::post(*ctx, [owned] {});
        thread_group(1, [&](int) { far.cancel(); }).join();
        // The timer goes last, so that it is cancelled in a context that still is there.
        thread_group(1, [&](int) {
            timer gone(std::move(far));
            ctx->stop();
        }).join();
        thread_group(1, [&](int) { ctx.reset(); }).join();
        BOOST_TEST(owned.use_count() == 1);
    }
}

BOOST_AUTO_TEST_SUITE_END()
