#include <rung/priority.hpp>

#include <algorithm>
#include <array>
#include <boost/asio.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <functional>
#include <rung/rung.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "context_fixture.hpp"

namespace asio = boost::asio;
namespace execution = boost::asio::execution;
using asio::any_io_executor;
using asio::strand;
using rung::executor;
using timer = rung::native<asio::steady_timer>;

namespace {

const std::array levels{rung::priority::high, rung::priority::normal, rung::priority::low};

executor at(rung::io_context& ctx, rung::priority p) {
    return asio::require(ctx.get_executor(), p);
}

/// How many handlers each level has run; the difference to an earlier count shows where some ran.
std::array<std::uint64_t, 3> handlers_run(const rung::io_context& ctx) {
    return ctx.statistics().handlers;
}

/// Runs the context to its end and gives the number of handlers that did not run at `p`.
std::uint64_t run_elsewhere_than(rung::io_context& ctx, rung::priority p) {
    const auto before = handlers_run(ctx);
    const std::size_t total = ctx.run_for(std::chrono::seconds(20));
    BOOST_TEST(ctx.stopped());
    BOOST_TEST(total != 0U);
    const auto after = handlers_run(ctx);
    const auto l = static_cast<std::size_t>(p.value());
    return total - (after[l] - before[l]);
}

/// Keeps the thread busy until the clock has passed `until`.
void stay_busy_until(std::chrono::steady_clock::time_point until) {
    while (std::chrono::steady_clock::now() <= until) {
    }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(order, test::context_fixture)

BOOST_AUTO_TEST_CASE(higher_levels_run_first_and_each_level_keeps_its_order) {
    std::vector<std::pair<int, int>> ran;
    const auto post_all = [&] {
        for (int i = 0; i < 20; ++i) {
            const int l = (i * 7) % 3;
            asio::post(at(context(), levels[static_cast<std::size_t>(l)]),
                       [&ran, l, i] { ran.emplace_back(l, i); });
        }
    };
    const auto check = [&] {
        BOOST_TEST(ran.size() == 20U);
        BOOST_TEST(std::is_sorted(ran.begin(), ran.end()));
        ran.clear();
        context().restart();
    };
    post_all();  // outside the loop
    context().run();
    check();
    asio::post(context(), post_all);  // inside
    context().run();
    check();
    std::thread(post_all).join();
    context().run();
    check();
}

BOOST_AUTO_TEST_CASE(an_urgent_handler_posted_by_a_handler_runs_next) {
    std::vector<int> ran;
    for (int i = 0; i < 500; ++i) {
        asio::post(context(), [&, i] {
            ran.push_back(i);
            if (i % 100 == 50) {
                asio::post(at(context(), rung::priority::high), [&] { ran.push_back(-1); });
            }
        });
    }
    context().run();
    for (std::size_t i = 0; i < ran.size(); ++i) {
        if (ran[i] % 100 == 50) {
            BOOST_TEST(ran[i + 1] == -1);
        }
    }
    BOOST_TEST(ran.size() == 505U);
}

BOOST_AUTO_TEST_CASE(an_urgent_handler_posted_by_another_thread_waits_for_one_handler_only) {
    int normal_since = -1;
    int urgent = 0;
    for (int i = 0; i < 300; ++i) {
        asio::post(context(), [&, i] {
            normal_since += normal_since >= 0 ? 1 : 0;
            if (i % 50 == 25) {
                std::thread([&] {
                    asio::post(at(context(), rung::priority::high), [&] {
                        BOOST_TEST(normal_since == 0);
                        normal_since = -1;
                        ++urgent;
                    });
                }).join();
                normal_since = 0;
            }
        });
    }
    context().run();
    BOOST_TEST(urgent == 6);
}

BOOST_AUTO_TEST_CASE(an_urgent_timer_overtakes_queued_handlers) {
    timer urgent(at(context(), rung::priority::high), std::chrono::milliseconds(2));
    bool fired = false;
    int late = 0;
    urgent.async_wait([&](boost::system::error_code) { fired = true; });
    for (int i = 0; i < 200; ++i) {
        asio::post(context(), [&, i] {
            if (i == 100) {
                stay_busy_until(urgent.expiry());
            } else if (i > 100) {
                late += fired ? 0 : 1;
            }
        });
    }
    context().run();
    BOOST_TEST(fired);
    BOOST_TEST(late == 0);
}

BOOST_AUTO_TEST_CASE(dispatch_within_a_handler_runs_at_once_whatever_the_levels) {
    std::vector<int> ran;
    asio::post(at(context(), rung::priority::high), [&] {
        asio::dispatch(at(context(), rung::priority::low), [&] { ran.push_back(1); });
        ran.push_back(2);
    });
    asio::post(at(context(), rung::priority::low), [&] {
        asio::dispatch(at(context(), rung::priority::high), [&] { ran.push_back(3); });
        ran.push_back(4);
    });
    context().run();
    BOOST_TEST(ran == (std::vector<int>{1, 2, 3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(starvation)

/// Floods the levels above with handlers that post themselves again, and measures how many handlers
/// run between two turns of a level that always waits.
BOOST_DATA_TEST_CASE(no_waiting_level_is_passed_over_longer_than_the_limit,
                     boost::unit_test::data::make({3U, 4U, 5U, 8U, 64U}), limit) {
    rung::io_context_options options;
    options.starvation_limit = limit;
    test::context_fixture f(options);
    constexpr unsigned total = 6'000;
    unsigned count = 0;
    std::array<unsigned, 3> last{};
    std::array<unsigned, 3> longest{};
    std::function<void(std::size_t)> step = [&](std::size_t l) {
        ++count;
        longest[l] = std::max(longest[l], count - last[l]);
        last[l] = count;
        if (count < total) {
            asio::post(at(f.context(), levels[l]), [&step, l] { step(l); });
        }
    };
    for (std::size_t l = 0; l < levels.size(); ++l) {
        for (int copies = 0; copies < 3; ++copies) {
            asio::post(at(f.context(), levels[l]), [&step, l] { step(l); });
        }
    }
    f.context().run();
    BOOST_TEST(longest[1] <= limit);
    BOOST_TEST(longest[2] <= limit);
    // And the highest level has all but those turns.
    const auto handlers = handlers_run(f.context());
    BOOST_TEST(handlers[0] >= total - 2 * (total / limit + 4));
}

/// As above, for handlers that come to an empty level now and then.
BOOST_DATA_TEST_CASE(a_handler_that_comes_to_an_idle_level_runs_within_the_limit,
                     boost::unit_test::data::make({3U, 7U, 64U}), limit) {
    rung::io_context_options options;
    options.starvation_limit = limit;
    test::context_fixture f(options);
    constexpr unsigned total = 20'000;
    unsigned count = 0;
    unsigned random = 12'345;
    std::array<unsigned, 3> longest{};
    std::array<bool, 3> waits{};
    std::function<void()> flood = [&] {
        ++count;
        random = random * 1'103'515'245U + 12'345U;
        const std::size_t l = 1 + ((random >> 16) & 1U);
        if ((random >> 20) % 16 == 0 && !waits[l]) {
            waits[l] = true;
            asio::post(at(f.context(), levels[l]), [&, l, since = count] {
                ++count;
                waits[l] = false;
                longest[l] = std::max(longest[l], count - since);
            });
        }
        if (count < total) {
            asio::post(at(f.context(), rung::priority::high), flood);
        }
    };
    asio::post(at(f.context(), rung::priority::high), flood);
    asio::post(at(f.context(), rung::priority::high), flood);
    f.context().run();
    BOOST_TEST(longest[1] <= limit);
    BOOST_TEST(longest[2] <= limit);
    BOOST_TEST(longest[1] > 1U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(carried, test::context_fixture)

BOOST_AUTO_TEST_CASE(by_a_coroutine_through_all_that_it_awaits) {
    for (const rung::priority p : levels) {
        int ended = 0;
        // The timer belongs to the context's own level; it completes where the coroutine runs.
        timer plain(context(), std::chrono::milliseconds(1));
        asio::co_spawn(
            at(context(), p),
            [&]() -> asio::awaitable<void> {
                co_await plain.async_wait(asio::use_awaitable);
                co_await asio::post(asio::use_awaitable);
                ++ended;
            },
            asio::detached);
        asio::co_spawn(
            at(context(), p),
            [&]() -> asio::awaitable<void, executor> {
                using token = asio::use_awaitable_t<executor>;
                timer own(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
                co_await own.async_wait(token());
                co_await asio::defer(co_await asio::this_coro::executor, token());
                ++ended;
            },
            asio::detached);
        BOOST_TEST(run_elsewhere_than(context(), p) == 0U);
        BOOST_TEST(ended == 2);
        context().restart();
    }
}

BOOST_AUTO_TEST_CASE(by_a_child_coroutine_that_is_spawned_at_another_level) {
    std::vector<int> ran;
    const auto child = [&](int id) -> asio::awaitable<void> {
        ran.push_back(id);
        co_return;
    };
    asio::co_spawn(
        context(),
        [&]() -> asio::awaitable<void> {
            const any_io_executor mine = co_await asio::this_coro::executor;
            for (const int id : {2, 1, 0}) {
                const auto p = levels[static_cast<std::size_t>(id)];
                asio::co_spawn(
                    asio::require(rung::with_priority(mine, p), execution::blocking.never),
                    child(id), asio::detached);
            }
        },
        asio::detached);
    context().run();
    BOOST_TEST(ran == (std::vector<int>{0, 1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(by_strands) {
    for (const rung::priority p : levels) {
        const auto plain = asio::make_strand(context().get_executor());
        const auto erased = asio::make_strand(any_io_executor(context().get_executor()));
        const any_io_executor around = plain;
        int ran = 0;
        const auto work = [&](const auto& ex) {
            for (int i = 0; i < 3; ++i) {
                asio::post(rung::with_priority(ex, p), [&] { ++ran; });
            }
        };
        work(asio::make_strand(at(context(), p)));
        work(plain);
        work(erased);
        work(around);
        BOOST_TEST(run_elsewhere_than(context(), p) == 0U);
        BOOST_TEST(ran == 12);
        context().restart();
    }
}

BOOST_AUTO_TEST_CASE(by_timers_and_by_the_executors_that_handlers_are_bound_to) {
    const auto soon = std::chrono::milliseconds(1);
    for (const rung::priority p : levels) {
        int ran = 0;
        const auto handler = [&](boost::system::error_code ec) { ran += ec ? 0 : 1; };
        timer of_that_level(at(context(), p), soon);
        timer plain(context(), soon);
        asio::basic_waitable_timer<std::chrono::steady_clock,
                                   asio::wait_traits<std::chrono::steady_clock>, strand<executor>>
            over_strand(asio::make_strand(at(context(), p)), soon);
        of_that_level.async_wait(handler);
        plain.async_wait(asio::bind_executor(at(context(), p), handler));
        plain.async_wait(asio::bind_executor(any_io_executor(at(context(), p)), handler));
        over_strand.async_wait(asio::bind_executor(at(context(), p), handler));
        BOOST_TEST(run_elsewhere_than(context(), p) == 0U);
        BOOST_TEST(ran == 4);
        context().restart();
    }
}

BOOST_AUTO_TEST_CASE(by_post_with_a_handler_that_has_an_executor_of_its_own) {
    int ran = 0;
    const auto before = handlers_run(context());
    // Asio posts to the executor named first, then dispatches on the handler's, inline here.
    asio::post(at(context(), rung::priority::low),
               asio::bind_executor(at(context(), rung::priority::high), [&] { ++ran; }));
    asio::post(asio::bind_executor(at(context(), rung::priority::high), [&] { ++ran; }));
    context().run();
    const auto after = handlers_run(context());
    BOOST_TEST(ran == 2);
    BOOST_TEST(after[0] - before[0] == 1U);
    BOOST_TEST(after[2] - before[2] == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
