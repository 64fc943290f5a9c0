// Spawned fibers: what they run, give back, throw, and how they take turns.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <rung/rung.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "called_once.hpp"
#include "contexts.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using boost::system::system_error;

namespace {

struct fixture : test::time_limit {};

/// As asio::detached, but what the fiber throws leaves run().
constexpr auto rethrow = [](std::exception_ptr e, auto&&...) {
    if (e) {
        std::rethrow_exception(e);
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(runs_in_the_context_and_not_in_spawn, Context, test::contexts) {
    Context ctx;
    bool ran = false;
    rung::spawn(ctx, [&] { ran = rung::this_fiber::exists(); });
    BOOST_TEST(!ran);
    BOOST_TEST(!rung::this_fiber::exists());
    ctx.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(gives_its_result_to_each_kind_of_token, Context, test::contexts) {
    Context ctx;
    auto future = rung::spawn(ctx, [] { return 7; }, asio::use_future);
    rung::spawn(
        ctx, [] { return std::string("text"); },
        test::once([](const std::exception_ptr& e, const std::string& s) {
            BOOST_TEST(!e);
            BOOST_TEST(s == "text");
        }));
    int joined = 0;
    rung::spawn(ctx, [&] {
        joined = rung::spawn(ctx, [] { return 8; }, rung::use_fiber);
        rung::spawn(ctx, [&] { ++joined; }, rung::use_fiber);
    });
    int awaited = 0;
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            awaited = co_await rung::spawn(ctx, [] { return 9; }, asio::use_awaitable);
        },
        rethrow);
    ctx.run();
    BOOST_TEST(future.get() == 7);
    BOOST_TEST(joined == 9);
    BOOST_TEST(awaited == 9);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_it_throws_goes_to_the_token, Context, test::contexts) {
    Context ctx;
    auto future = rung::spawn(
        ctx, []() -> int { throw std::runtime_error("thrown"); }, asio::use_future);
    bool caught = false;
    rung::spawn(ctx, [&] {
        try {
            rung::spawn(
                ctx,
                [] {
                    rung::this_fiber::yield();
                    throw std::invalid_argument("thrown");
                },
                rung::use_fiber);
        } catch (const std::invalid_argument&) {
            caught = true;
        }
    });
    ctx.run();
    BOOST_CHECK_THROW(future.get(), std::runtime_error);
    BOOST_TEST(caught);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_throwing_handler_leaves_run, Context, test::contexts) {
    Context ctx;
    int ran = 0;
    for (int i = 0; i < 3; ++i) {
        rung::spawn(
            ctx, [&] { rung::this_fiber::yield(); },
            [&](const std::exception_ptr&) {
                ++ran;
                throw std::runtime_error("thrown");
            });
    }
    for (int i = 1; i <= 3; ++i) {
        BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
        BOOST_TEST(ran == i);
    }
    BOOST_TEST(ctx.run() == 0U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(yield_lets_others_run_in_order, Context, test::contexts) {
    Context ctx;
    std::string order;
    for (const char name : {'a', 'b', 'c'}) {
        rung::spawn(ctx, [&order, name] {
            for (int i = 0; i < 3; ++i) {
                order += name;
                rung::this_fiber::yield();
            }
        });
    }
    ctx.run();
    BOOST_TEST(order == "abcabcabc");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sleep_takes_its_time, Context, test::contexts) {
    Context ctx;
    std::string order;
    const auto begin = std::chrono::steady_clock::now();
    for (const int ms : {20, 5, 10}) {
        rung::spawn(
            ctx,
            [&, ms] {
                rung::this_fiber::sleep_for(std::chrono::milliseconds(ms));
                BOOST_TEST((std::chrono::steady_clock::now() - begin >=
                            std::chrono::milliseconds(ms)));
                order += std::to_string(ms) + ' ';
            },
            rethrow);
    }
    ctx.run();
    BOOST_TEST(order == "5 10 20 ");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(many_fibers_wait_at_once, Context, test::contexts) {
    Context ctx;
    constexpr int fibers = 500;
    int waiting = 0;
    int most = 0;
    int done = 0;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&] {
            most = std::max(most, ++waiting);
            rung::this_fiber::yield();
            rung::this_fiber::sleep_for(1ms);
            --waiting;
            ++done;
        });
    }
    ctx.run();
    BOOST_TEST(most == fibers);
    BOOST_TEST(done == fibers);
}

BOOST_AUTO_TEST_CASE(ids_are_of_one_fiber_each) {
    rung::io_context ctx;
    std::vector<rung::fiber_id> ids;
    for (int i = 0; i < 4; ++i) {
        rung::spawn(ctx, [&, yields = i / 2] {
            ids.push_back(rung::this_fiber::get_id());
            for (int n = 0; n < yields; ++n) {
                rung::this_fiber::yield();
            }
            BOOST_TEST((rung::this_fiber::get_id() != rung::fiber_id()));
        });
    }
    ctx.run();
    ids.push_back(rung::this_fiber::get_id());
    for (std::size_t a = 0; a < ids.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
            BOOST_TEST((ids[a] != ids[b]));
        }
    }
    BOOST_TEST((ids.back() == rung::fiber_id()));
}

BOOST_AUTO_TEST_CASE(ids_are_not_used_twice_when_stacks_are) {
    rung::stack_pool pool({.keep = 0});
    std::set<rung::fiber_id> ids;
    constexpr int rounds = 10;
    for (int i = 0; i < rounds; ++i) {
        rung::io_context ctx;
        rung::spawn(ctx, {.stacks = &pool}, [&] { ids.insert(rung::this_fiber::get_id()); });
        ctx.run();
    }
    BOOST_TEST(ids.size() == std::size_t{rounds});
}

BOOST_AUTO_TEST_CASE(locals_that_destructors_make_go_with_the_fiber) {
    rung::fiber_local<int> number;
    struct maker {
        rung::fiber_local<int>* made = nullptr;
        ~maker() {
            if (made != nullptr) {
                **made = 7;
            }
        }
    };
    rung::fiber_local<maker> last;
    rung::io_context ctx;
    const rung::fiber_executor ex(ctx.get_executor());
    int found = -1;
    asio::post(ex, [&] { last->made = &number; });
    ctx.run();
    ctx.restart();
    asio::post(ex, [&] { found = *number; });
    ctx.run();
    BOOST_TEST(found == 0);
}

BOOST_AUTO_TEST_CASE(a_name_is_kept_and_goes_with_the_fiber) {
    rung::io_context ctx;
    rung::spawn(
        ctx, {.name = "a session with a name that is too long"},
        [] {
            BOOST_TEST(rung::this_fiber::get_name() == "a session with a name t");
            rung::this_fiber::set_name("b");
            BOOST_TEST(rung::this_fiber::get_name() == "b");
        },
        rethrow);
    rung::spawn(ctx, [] { BOOST_TEST(rung::this_fiber::get_name() == ""); }, rethrow);
    ctx.run();
}

BOOST_AUTO_TEST_CASE(each_fiber_has_its_own_locals) {
    rung::io_context ctx;
    rung::fiber_local<int> number;
    rung::fiber_local<std::shared_ptr<int>> owner;
    const auto owned = std::make_shared<int>();
    for (int i = 1; i <= 3; ++i) {
        rung::spawn(
            ctx,
            [&, i] {
                BOOST_TEST(*number == 0);
                *number = i;
                *owner = owned;
                rung::this_fiber::yield();
                BOOST_TEST(*number == i);
                BOOST_TEST(owned.use_count() == 5 - i);
            },
            [&, i](const std::exception_ptr& e) {
                BOOST_TEST(!e);
                BOOST_TEST(owned.use_count() == 4 - i);  // gone with the function
            });
    }
    ctx.run();
    BOOST_TEST(owned.use_count() == 1);
    BOOST_CHECK_THROW(*number, std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_priority_is_inherited_and_can_be_changed) {
    rung::io_context ctx(1);
    std::string order;
    rung::spawn(ctx, [&] {
        BOOST_TEST((rung::this_fiber::get_priority() == rung::priority::normal));
        rung::this_fiber::set_priority(rung::priority::low);
        rung::this_fiber::yield();
        order += "low ";
    });
    rung::spawn(rung::with_priority(ctx.get_executor(), rung::priority::high), [&] {
        BOOST_TEST((rung::this_fiber::get_priority() == rung::priority::high));
        order += "high ";
        rung::this_fiber::yield();
        order += "high ";
        rung::spawn(rung::this_fiber::get_executor(), [&] {
            BOOST_TEST((rung::this_fiber::get_priority() == rung::priority::high));
        });
    });
    rung::spawn(ctx, [&] {
        rung::this_fiber::yield();
        order += "normal ";
    });
    ctx.run();
    BOOST_TEST(order == "high high normal low ");
}

BOOST_AUTO_TEST_CASE(outside_of_a_fiber_it_is_a_logic_error) {
    rung::io_context ctx;
    BOOST_CHECK_THROW(rung::this_fiber::yield(), std::logic_error);
    BOOST_CHECK_THROW(rung::this_fiber::sleep_for(1ms), std::logic_error);
    BOOST_CHECK_THROW(rung::this_fiber::get_executor(), std::logic_error);
    BOOST_CHECK_THROW(rung::this_fiber::cancelled(), std::logic_error);
    asio::steady_timer t(ctx);
    BOOST_CHECK_THROW(t.async_wait(rung::use_fiber), std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_request_reaches_what_it_waits_for) {
    rung::io_context ctx;
    asio::cancellation_signal signal;
    int stage = 0;
    rung::spawn(
        ctx,
        [&] {
            BOOST_TEST((rung::this_fiber::cancelled() == asio::cancellation_type::none));
            rung::this_fiber::throw_if_cancelled();
            BOOST_CHECK_THROW(rung::this_fiber::sleep_for(1h), system_error);
            stage = 1;
            BOOST_TEST((rung::this_fiber::cancelled() == asio::cancellation_type::partial));
            BOOST_CHECK_THROW(rung::this_fiber::throw_if_cancelled(), system_error);
            BOOST_CHECK_THROW(rung::this_fiber::sleep_for(1h), system_error);  // at once
            rung::this_fiber::reset_cancellation();
            rung::this_fiber::sleep_for(1us);
            stage = 2;
            rung::native<asio::steady_timer> t(ctx, 1h);
            asio::post(ctx, [&] { signal.emit(asio::cancellation_type::terminal); });
            error_code ec;
            t.async_wait(asio::redirect_error(rung::use_fiber, ec));
            BOOST_TEST(ec == asio::error::operation_aborted);
        },
        asio::bind_cancellation_slot(signal.slot(), test::once(rethrow)));
    asio::steady_timer soon(ctx, 1ms);
    soon.async_wait([&](error_code) { signal.emit(asio::cancellation_type::partial); });
    ctx.run();
    BOOST_TEST(stage == 2);
    signal.emit(asio::cancellation_type::terminal);  // finds nobody
}

BOOST_AUTO_TEST_CASE(a_fiber_cancelled_before_it_starts_knows) {
    rung::io_context ctx;
    asio::cancellation_signal signal;
    rung::spawn(
        ctx, [] { rung::this_fiber::throw_if_cancelled(); },
        asio::bind_cancellation_slot(
            signal.slot(), test::once([](const std::exception_ptr& e) { BOOST_TEST(!!e); })));
    signal.emit(asio::cancellation_type::terminal);
    ctx.run();
}

BOOST_AUTO_TEST_SUITE_END()
