// Mutexes, semaphores, events, latches and condition variables between fibers, coroutines,
// callbacks and threads.

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <mutex>
#include <rung/rung.hpp>
#include <string>
#include <thread>

#include "fiber_test.hpp"

namespace {

struct fixture : test::time_limit {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_sync, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_mutex_passes_in_order_between_all_styles, Context,
                              test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    std::string order;
    rung::spawn(ctx, [&] {
        const std::lock_guard lock(m);
        BOOST_TEST(!m.try_lock());
        rung::this_fiber::sleep_for(1ms);
        order += "a";
    });
    rung::spawn(ctx, [&] {
        m.async_lock(use_fiber);
        order += "b";
        rung::this_fiber::yield();
        m.unlock();
    });
    asio::post(ctx, [&] {
        m.async_lock([&](error_code ec) {
            BOOST_TEST(!ec);
            order += "c";
            m.unlock();
        });
    });
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            co_await m.async_lock(asio::use_awaitable);
            order += "d";
            m.unlock();
        },
        asio::detached);
    ctx.run();
    BOOST_TEST(order.size() == 4U);
    BOOST_TEST(order.substr(0, 2) == "ab");
    BOOST_TEST(m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_CASE(a_mutex_excludes_threads_and_fibers) {
    rung::io_context ctx;
    rung::mutex m(ctx);
    constexpr int rounds = 200;
    constexpr int fibers = 4;
    int counter = 0;  // guarded by m
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&] {
            for (int n = 0; n < rounds; ++n) {
                const std::lock_guard lock(m);
                const int seen = counter;
                rung::this_fiber::yield();
                counter = seen + 1;
            }
        });
    }
    test::thread_group threads(2, [&](int) {
        for (int n = 0; n < rounds; ++n) {
            const std::lock_guard lock(m);
            ++counter;
        }
    });
    ctx.run();
    threads.join();
    ctx.restart();
    ctx.run();
    BOOST_TEST(counter == rounds * (fibers + 2));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancelled_lock_is_not_taken, Context, test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    BOOST_TEST(m.try_lock());
    rung::spawn(ctx, [&] {
        const auto [late] = m.async_lock(asio::as_tuple(use_fiber.after(1ms)));
        BOOST_TEST(late == asio::error::timed_out);
        BOOST_CHECK_THROW(m.async_lock(use_fiber.after(1ms)), system_error);
        m.unlock();
        m.async_lock(use_fiber.after(1h));
        m.unlock();
    });
    ctx.run();
    BOOST_TEST(m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_semaphore_counts, Context, test::contexts) {
    Context ctx;
    rung::semaphore s(ctx, 2);
    int inside = 0;
    int most = 0;
    for (int i = 0; i < 10; ++i) {
        rung::spawn(ctx, [&] {
            s.acquire();
            most = std::max(most, ++inside);
            rung::this_fiber::yield();
            --inside;
            s.release();
        });
    }
    ctx.run();
    BOOST_TEST(most == 2);
    BOOST_TEST(s.available() == 2U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_event_lets_everybody_go, Context, test::shared_contexts) {
    Context ctx;
    rung::event e(ctx);
    int gone = 0;
    for (int i = 0; i < 5; ++i) {
        rung::spawn(ctx, [&] {
            e.wait();
            e.wait();
            ++gone;
        });
    }
    e.async_wait([&](error_code) { ++gone; });
    std::thread foreign([&] {
        std::this_thread::sleep_for(2ms);
        e.set();
        e.wait();
    });
    ctx.run();
    foreign.join();
    BOOST_TEST(gone == 6);
    BOOST_TEST(e.is_set());
    e.reset();
    BOOST_TEST(!e.is_set());
}

BOOST_AUTO_TEST_CASE(a_latch_opens_at_zero) {
    rung::io_context ctx;
    rung::latch l(ctx, 3);
    bool open = false;
    rung::spawn(ctx, [&] {
        l.wait();
        open = true;
    });
    for (int i = 0; i < 3; ++i) {
        rung::spawn(ctx, [&] {
            rung::this_fiber::yield();
            BOOST_TEST(!open);
            l.count_down();
        });
    }
    ctx.run();
    BOOST_TEST(open);
    BOOST_TEST(l.try_wait());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_condition_variable_feeds_consumers, Context, test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    rung::condition_variable filled;
    std::deque<int> queue;
    int sum = 0;
    for (int c = 0; c < 3; ++c) {
        rung::spawn(ctx, [&] {
            for (int i = 0; i < 10; ++i) {
                std::unique_lock lock(m);
                filled.wait(lock, [&] { return !queue.empty(); });
                sum += queue.front();
                queue.pop_front();
            }
        });
    }
    rung::spawn(ctx, [&] {
        for (int i = 1; i <= 30; ++i) {
            {
                const std::lock_guard lock(m);
                queue.push_back(i);
            }
            if (i % 2 == 0) {
                filled.notify_one();
                rung::this_fiber::yield();
            } else {
                filled.notify_all();
            }
        }
    });
    ctx.run();
    BOOST_TEST(sum == 465);
}

BOOST_AUTO_TEST_CASE(a_thread_waits_for_a_fiber_by_condition_variable) {
    rung::io_context ctx;
    rung::mutex m(ctx);
    rung::condition_variable changed;
    bool ready = false;
    std::atomic<bool> seen = false;
    std::thread foreign([&] {
        std::unique_lock lock(m);
        changed.wait(lock, [&] { return ready; });
        seen = true;
    });
    rung::spawn(ctx, [&] {
        while (!seen) {
            {
                const std::lock_guard lock(m);
                ready = true;
            }
            changed.notify_one();
            rung::this_fiber::sleep_for(100us);
        }
    });
    ctx.run();
    foreign.join();
    BOOST_TEST(seen.load());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(asios_channels_join_the_styles, Context, test::contexts) {
    Context ctx;
    asio::experimental::channel<typename Context::executor_type, void(error_code, int)> channel(
        ctx.get_executor(), 2);
    int sum = 0;
    rung::spawn(ctx, [&] {
        for (;;) {
            const auto [ec, n] = channel.async_receive(asio::as_tuple(use_fiber));
            if (ec) {
                break;
            }
            sum += n;
        }
    });
    rung::spawn(ctx, [&] {
        for (int i = 1; i <= 10; ++i) {
            channel.async_send(error_code(), i, use_fiber);
        }
        channel.close();
    });
    ctx.run();
    BOOST_TEST(sum == 55);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(waiters_are_told_when_it_goes, Context, test::contexts) {
    Context ctx;
    int told = 0;
    {
        rung::event e(ctx);
        rung::spawn(ctx, [&] {
            BOOST_CHECK_THROW(e.async_wait(use_fiber), system_error);
            ++told;
        });
        e.async_wait([&](error_code ec) {
            BOOST_TEST(ec == asio::error::operation_aborted);
            ++told;
        });
        ctx.poll();
    }
    ctx.restart();
    ctx.run();
    BOOST_TEST(told == 2);
}

BOOST_AUTO_TEST_SUITE_END()
