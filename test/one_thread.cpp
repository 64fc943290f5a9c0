// A context made for one running thread, and what other threads may do with it.

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <rung/rung.hpp>
#include <thread>
#include <vector>

#include "contexts.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using rung::io_context;
using timer = test::timer_of<io_context>;

namespace {

/// Asio's hints that promise as much, too.
const std::vector<int> hints{1, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};

template <class F>
void on_another_thread(F f) {
    std::thread(f).join();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(one_thread, test::time_limit)

/// The hint is one: stock takes a second thread, too.
BOOST_DATA_TEST_CASE(a_second_thread_is_counted_and_runs_handlers_as_well, hints, hint) {
    io_context ctx(hint);
    auto guard = asio::make_work_guard(ctx);
    std::atomic<bool> running = false;
    std::atomic<bool> released = false;
    std::atomic<int> ran = 0;
    asio::post(ctx, [&] {
        running = true;
        while (!released) {
            std::this_thread::yield();
        }
    });
    std::thread runner([&] { ctx.run(); });
    while (!running) {
        std::this_thread::yield();
    }
    const std::vector<std::function<std::size_t()>> calls{
        [&] { return ctx.run_one(); },     [&] { return ctx.poll(); },
        [&] { return ctx.poll_one(); },    [&] { return ctx.run_for(1ms); },
        [&] { return ctx.run_one_for(1s); }};
    for (const auto& call : calls) {
        asio::post(ctx, [&] { ++ran; });
        BOOST_TEST(call() == 1U);
    }
    BOOST_TEST(ran == 5);
    BOOST_TEST(ctx.statistics().extra_runners == calls.size());
    released = true;
    std::thread second([&] { ctx.run(); });
    for (int i = 0; i < 1'000; ++i) {
        timer t(ctx, 10us);
        asio::post(ctx, [&] { ++ran; });
        t.async_wait(asio::use_future).get();
    }
    guard.reset();
    runner.join();
    second.join();
    BOOST_TEST(ran == 1'005);
}

BOOST_DATA_TEST_CASE(another_thread_may_go_on_where_one_has_stopped, hints, hint) {
    io_context ctx(hint);
    int ran = 0;
    std::vector<std::unique_ptr<timer>> timers;
    for (int i = 0; i < 5; ++i) {
        asio::post(ctx, [&] { ++ran; });
        timers.push_back(std::make_unique<timer>(ctx, std::chrono::milliseconds(i)));
        timers.back()->async_wait([&](auto) { ++ran; });
    }
    BOOST_TEST(ctx.run_one() == 1U);
    on_another_thread([&] { ctx.run_one_for(10s); });
    on_another_thread([&] {
        // One that sleeps in the kernel, so that the ring has been entered.
        timers.push_back(std::make_unique<timer>(ctx, 1ms));
        timers.back()->async_wait([&](auto) { ++ran; });
        ctx.run_for(2ms);
    });
    ctx.run();
    BOOST_TEST(ran == 11);
    ctx.restart();
    on_another_thread([&] {
        asio::post(ctx, [&] { ++ran; });
        ctx.run();
    });
    BOOST_TEST(ran == 12);
}

BOOST_DATA_TEST_CASE(others_may_post_and_set_timers, hints, hint) {
    constexpr int threads = 4;
    constexpr int rounds = 3'000;
    io_context ctx(hint);
    auto guard = asio::make_work_guard(ctx);
    std::atomic<int> ran = 0;
    std::thread::id runner_id;
    std::atomic<bool> elsewhere = false;
    std::thread runner([&] {
        runner_id = std::this_thread::get_id();
        ctx.run();
    });
    const auto note = [&] {
        ++ran;
        if (std::this_thread::get_id() != runner_id) {
            elsewhere = true;
        }
    };
    std::vector<std::thread> others;
    std::vector<std::vector<std::unique_ptr<timer>>> timers(threads);
    for (std::size_t t = 0; t < threads; ++t) {
        others.emplace_back([&, t] {
            for (int i = 0; i < rounds; ++i) {
                asio::post(ctx, note);
                if (i % 10 == 0) {
                    timers[t].push_back(std::make_unique<timer>(ctx, std::chrono::microseconds(i)));
                    timers[t].back()->async_wait([&](auto) { note(); });
                }
                if (i % 30 == 0) {
                    timers[t].back()->cancel();
                }
                if (i % 300 == 0) {
                    std::this_thread::sleep_for(1ms);  // the loop falls asleep
                }
            }
        });
    }
    for (std::thread& t : others) {
        t.join();
    }
    guard.reset();
    runner.join();
    BOOST_TEST(ran == threads * (rounds + rounds / 10));
    BOOST_TEST(!elsewhere);
}

BOOST_DATA_TEST_CASE(others_may_stop_it_and_give_up_its_work, hints, hint) {
    for (int round = 0; round < 100; ++round) {
        io_context ctx(hint);
        std::optional guard(asio::make_work_guard(ctx));
        std::thread runner([&] { ctx.run(); });
        std::this_thread::sleep_for(std::chrono::microseconds(round));
        if (round % 2 == 0) {
            ctx.stop();
        } else {
            guard.reset();
        }
        runner.join();
        BOOST_TEST(ctx.stopped());
    }
}

BOOST_DATA_TEST_CASE(it_may_end_on_another_thread, hints, hint) {
    auto owned = std::make_shared<int>();
    for (const bool sleeps : {false, true}) {
        auto ctx = std::make_unique<io_context>(hint);
        on_another_thread([&] {
            asio::post(*ctx, [] {});
            ctx->run_one();
            if (sleeps) {
                const auto guard = asio::make_work_guard(*ctx);
                ctx->run_for(1ms);
            }
            asio::post(*ctx, [owned] {});
            auto far = std::make_shared<timer>(*ctx, 1h);
            far->async_wait([far, owned](auto) {});
        });
        BOOST_TEST(owned.use_count() == 3);
        ctx.reset();
        BOOST_TEST(owned.use_count() == 1);
    }
}

BOOST_DATA_TEST_CASE(a_handler_may_run_it_again, hints, hint) {
    io_context ctx(hint);
    int ran = 0;
    asio::post(ctx, [&] {
        asio::post(ctx, [&] { ++ran; });
        BOOST_TEST(ctx.poll() == 1U);
        timer soon(ctx, 1ms);
        soon.async_wait([&](auto) { ++ran; });
        BOOST_TEST(ctx.run_one() == 1U);
        on_another_thread([&] { ctx.poll(); });
    });
    BOOST_TEST(ctx.run() == 1U);
    BOOST_TEST(ran == 2);
}

BOOST_AUTO_TEST_SUITE_END()
