// Fibers on a context that several threads run: they stay where they began.

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <rung/rung.hpp>
#include <thread>

#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using rung::use_fiber;

namespace {

struct fixture : test::time_limit {};
constexpr int fibers = 60;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_threads, fixture)

BOOST_AUTO_TEST_CASE(a_fiber_stays_on_its_thread) {
    rung::io_context ctx;
    std::atomic<int> moved = 0;
    std::atomic<int> left = fibers;
    // Threads stay in run() until the last fiber has ended, so that none has to be adopted.
    auto work = asio::make_work_guard(ctx);
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&] {
            const auto home = std::this_thread::get_id();
            const auto check = [&] { moved += std::this_thread::get_id() == home ? 0 : 1; };
            rung::native<asio::steady_timer> t(ctx);
            for (int n = 0; n < 20; ++n) {
                rung::this_fiber::yield();
                check();
                rung::this_fiber::sleep_for(std::chrono::microseconds(n));
                check();
                t.expires_after(std::chrono::microseconds(n));
                t.async_wait(asio::as_tuple(use_fiber.after(10us)));
                check();
            }
            if (--left == 0) {
                work.reset();
            }
        });
    }
    test::thread_group(3, [&](int) { ctx.run(); }).join();
    BOOST_TEST(moved == 0);
    BOOST_TEST(left == 0);
}

BOOST_AUTO_TEST_CASE(what_composed_operations_do_meanwhile_happens_on_the_same_thread) {
    // A deadline comes on the fiber's thread, and finds no step of the operation at work elsewhere.
    using socket = rung::native<asio::local::stream_protocol::socket>;
    constexpr int sessions = 20;
    rung::io_context ctx;
    auto work = asio::make_work_guard(ctx);
    std::atomic<int> elsewhere = 0;
    std::atomic<int> late = 0;
    std::atomic<int> left = 2 * sessions;
    const auto ended = [&] {
        if (--left == 0) {
            work.reset();
        }
    };
    for (int i = 0; i < sessions; ++i) {
        const auto near = std::make_shared<socket>(ctx);
        const auto far = std::make_shared<socket>(ctx);
        asio::local::connect_pair(*near, *far);
        rung::spawn(ctx, [&, near, far] {
            for (int n = 0; n < 20; ++n) {
                asio::async_write(*far, asio::buffer("x", 1), use_fiber);
                rung::this_fiber::sleep_for(100us);
            }
            ended();
        });
        rung::spawn(ctx, [&, near] {
            const auto home = std::this_thread::get_id();
            char data[1024];
            const auto step = [&](const boost::system::error_code& ec, std::size_t) {
                elsewhere += std::this_thread::get_id() == home ? 0 : 1;
                return ec ? 0 : sizeof data;
            };
            const auto [ec, n] = asio::async_read(*near, asio::buffer(data), step,
                                                  asio::as_tuple(use_fiber.after(1ms)));
            late += ec == asio::error::timed_out ? 1 : 0;
            ended();
        });
    }
    test::thread_group(3, [&](int) { ctx.run(); }).join();
    BOOST_TEST(elsewhere == 0);
    BOOST_TEST(late == sessions);
}

BOOST_AUTO_TEST_CASE(a_thread_that_leaves_leaves_its_fibers_to_others) {
    rung::io_context ctx;
    int turns = 0;
    rung::spawn(ctx, [&] {
        for (; turns < 100; ++turns) {
            rung::this_fiber::yield();
        }
    });
    std::thread([&] { ctx.run_one(); }).join();
    std::thread([&] { ctx.run_one(); }).join();
    BOOST_TEST(turns < 100);
    ctx.run();
    BOOST_TEST(turns == 100);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(exceptions_go_with_a_fiber, Context, test::shared_contexts) {
    Context ctx;
    std::atomic<int> right = 0;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&, i] {
            for (int n = 0; n < 10; ++n) {
                try {
                    throw i;
                } catch (int) {
                    rung::this_fiber::yield();
                    try {
                        throw;
                    } catch (int caught) {
                        right += caught == i ? 1 : 0;
                    }
                }
            }
        });
    }
    test::thread_group(3, [&](int) { ctx.run(); }).join();
    BOOST_TEST(right == fibers * 10);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(they_join_across_contexts, Context, test::shared_contexts) {
    Context near;
    rung::io_context far;
    auto work = asio::make_work_guard(far);
    std::thread other([&] { far.run(); });
    int sum = 0;
    rung::spawn(near, [&] {
        const auto home = std::this_thread::get_id();
        for (int i = 0; i < 50; ++i) {
            sum += rung::spawn(far, [i] { return i; }, use_fiber);
            BOOST_TEST((std::this_thread::get_id() == home));
        }
    });
    near.run();
    work.reset();
    other.join();
    BOOST_TEST(sum == 1225);
}

BOOST_AUTO_TEST_SUITE_END()
