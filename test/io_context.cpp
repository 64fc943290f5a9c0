#include <rung/io_context.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "contexts.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::test_tools::per_element;
using std::chrono::steady_clock;

#if BOOST_VERSION >= 108800

namespace {

/// Counts what it is asked for.
template <class T>
struct counting_allocator {
    using value_type = T;

    explicit counting_allocator(int& n) noexcept : count(&n) {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other) noexcept : count(other.count) {}
    T* allocate(std::size_t n) {
        ++*count;
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept { std::allocator<T>().deallocate(p, n); }
    template <class U>
    bool operator==(const counting_allocator<U>& other) const noexcept {
        return count == other.count;
    }

    int* count;
};

/// Runs a guest and a native timer.
void check_use(rung::io_context& context) {
    int expired = 0;
    asio::steady_timer guest(context, 1ms);
    rung::native<asio::steady_timer> native(context, 1ms);
    guest.async_wait([&](auto) { ++expired; });
    native.async_wait([&](auto) { ++expired; });
    BOOST_TEST(context.run() == 2U);
    BOOST_TEST(expired == 2);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(construction)

BOOST_AUTO_TEST_CASE(an_allocator_serves_the_services) {
    int allocations = 0;
    const counting_allocator<char> allocator(allocations);
    rung::io_context plain(std::allocator_arg, allocator);
    check_use(plain);
    BOOST_TEST(allocations > 0);
    rung::io_context hinted(std::allocator_arg, allocator, 1);
    check_use(hinted);
    rung::io_context configured(std::allocator_arg, allocator,
                                asio::config_from_concurrency_hint(1));
    check_use(configured);
}

BOOST_AUTO_TEST_CASE(a_configuration_is_obeyed) {
    rung::io_context context{asio::config_from_concurrency_hint(1)};
    asio::post(context, [&] {
        std::thread([&] { context.poll(); }).join();
    });
    context.run();
    BOOST_TEST(context.statistics().extra_runners == 1U);
    context.restart();
    check_use(context);
    rung::io_context from_text{asio::config_from_string("scheduler.concurrency_hint=8")};
    check_use(from_text);
}

BOOST_AUTO_TEST_SUITE_END()

#endif

BOOST_AUTO_TEST_SUITE(run)

BOOST_AUTO_TEST_CASE_TEMPLATE(without_work_every_call_returns_at_once_and_stops, Context,
                              test::contexts) {
    const auto check = [](auto call) {
        Context ctx;
        BOOST_TEST(!ctx.stopped());
        BOOST_TEST(call(ctx) == 0U);
        BOOST_TEST(ctx.stopped());
    };
    check([](Context& ctx) { return ctx.run(); });
    check([](Context& ctx) { return ctx.run_one(); });
    check([](Context& ctx) { return ctx.poll(); });
    check([](Context& ctx) { return ctx.poll_one(); });
    check([](Context& ctx) { return ctx.run_for(10s); });
    check([](Context& ctx) { return ctx.run_one_for(10s); });
    check([](Context& ctx) { return ctx.run_until(steady_clock::now() + 10s); });
    check([](Context& ctx) { return ctx.run_one_until(std::chrono::system_clock::now() + 10s); });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(counts_the_handlers_and_stops_when_work_is_over, Context,
                              test::contexts) {
    Context ctx;
    const std::function<void(int)> chain = [&](int n) {
        if (n > 0) {
            asio::post(ctx, [&chain, n] { chain(n - 1); });
        }
    };
    chain(100);
    BOOST_TEST(ctx.run() == 100U);
    BOOST_TEST(ctx.stopped());
    chain(3);
    BOOST_TEST(ctx.run() == 0U);  // until it is restarted
    BOOST_TEST(ctx.poll() == 0U);
    ctx.restart();
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.run() == 3U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(run_one_and_poll_one_run_one_handler, Context, test::contexts) {
    Context ctx;
    int ran = 0;
    for (int i = 0; i < 5; ++i) {
        asio::post(ctx, [&] { ++ran; });
    }
    BOOST_TEST(ctx.run_one() == 1U);
    BOOST_TEST(ctx.poll_one() == 1U);
    BOOST_TEST(ctx.run_one_for(10s) == 1U);
    BOOST_TEST(ctx.run_one_until(steady_clock::now() + 10s) == 1U);
    BOOST_TEST(ran == 4);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.run_one() == 1U);
    BOOST_TEST(ctx.stopped());  // that was the last
    BOOST_TEST(ctx.run_one() == 0U);
    ctx.restart();
    asio::post(ctx, [] {});
    BOOST_TEST(ctx.poll_one() == 1U);
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(poll_runs_what_is_ready_and_waits_for_nothing, Context,
                              test::contexts) {
    Context ctx;
    int ran = 0;
    test::timer_of<Context> far(ctx, 1h);
    far.async_wait([&](auto) { ++ran; });
    test::timer_of<Context> over(ctx, 0s);
    over.async_wait([&](auto) { ++ran; });
    asio::post(ctx, [&] {
        ++ran;
        asio::post(ctx, [&] { ++ran; });
    });
    BOOST_TEST(ctx.poll() == 3U);
    BOOST_TEST(ran == 3);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.poll() == 0U);
    BOOST_TEST(ctx.poll_one() == 0U);
    far.cancel();
    BOOST_TEST(ctx.poll() == 1U);
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(run_for_ends_in_time_with_work_left, Context, test::contexts) {
    Context ctx;
    const auto guard = asio::make_work_guard(ctx);
    asio::post(ctx, [] {});
    const auto timed = [&](auto call, std::size_t expected) {
        const auto begin = steady_clock::now();
        BOOST_TEST(call() == expected);
        const auto spent = steady_clock::now() - begin;
        BOOST_TEST((spent >= 10ms && spent < test::long_enough));
        BOOST_TEST(!ctx.stopped());
    };
    timed([&] { return ctx.run_for(10ms); }, 1);
    timed([&] { return ctx.run_one_for(10ms); }, 0);
    timed([&] { return ctx.run_until(steady_clock::now() + 10ms); }, 0);
    timed([&] { return ctx.run_one_until(std::chrono::system_clock::now() + 11ms); }, 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(run_for_ends_in_time_under_work_without_end, Context,
                              test::contexts) {
    Context ctx;
    const auto begin = steady_clock::now();
    const std::function<void()> chain = [&] {
        if (steady_clock::now() - begin < test::long_enough) {
            asio::post(ctx, [&chain] { chain(); });
        }
    };
    chain();
    BOOST_TEST(ctx.run_for(10ms) != 0U);
    BOOST_TEST((steady_clock::now() - begin < test::long_enough / 2));
    BOOST_TEST(!ctx.stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_time_in_the_past_runs_nothing, Context, test::contexts) {
    Context ctx;
    asio::post(ctx, [] {});
    BOOST_TEST(ctx.run_for(0s) == 0U);
    BOOST_TEST(ctx.run_one_for(-1s) == 0U);
    BOOST_TEST(ctx.run_until(steady_clock::time_point::min()) == 0U);
    BOOST_TEST(ctx.run_one_until(std::chrono::system_clock::now() - 1h) == 0U);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.run() == 1U);
    ctx.restart();
    BOOST_TEST(ctx.run_for(0s) == 0U);  // not even that there is no work
    BOOST_TEST(!ctx.stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(stop_leaves_the_rest_for_after_a_restart, Context, test::contexts) {
    Context ctx;
    int ran = 0;
    for (int i = 0; i < 4; ++i) {
        asio::post(ctx, [&] {
            if (++ran == 2) {
                ctx.stop();
                BOOST_TEST(ctx.stopped());
            }
        });
    }
    BOOST_TEST(ctx.run() == 2U);
    BOOST_TEST(ctx.run() == 0U);
    BOOST_TEST(ctx.poll() == 0U);
    BOOST_TEST(ctx.run_for(10s) == 0U);
    ctx.restart();
    ctx.stop();  // before it runs
    BOOST_TEST(ctx.run_one() == 0U);
    ctx.restart();
    BOOST_TEST(ctx.run() == 2U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(work_guards_keep_run_from_returning, Context, test::contexts) {
    Context ctx;
    std::optional guard(asio::make_work_guard(ctx));
    auto copy = *guard;
    auto moved = std::move(*guard);
    guard.reset();
    test::timer_of<Context> later(ctx, 5ms);
    later.async_wait([&](auto) {
        copy.reset();
        asio::post(ctx, [&] { moved.reset(); });
    });
    BOOST_TEST(ctx.poll() == 0U);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.run() == 2U);
    BOOST_TEST(!copy.owns_work());
    BOOST_TEST(!moved.owns_work());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(post_dispatch_and_defer_keep_their_order, Context, test::contexts) {
    Context ctx;
    std::vector<int> ran;
    const auto note = [&](int i) { return [&ran, i] { ran.push_back(i); }; };
    asio::dispatch(ctx, note(1));  // outside the loop none of the three runs at once
    asio::defer(ctx, note(2));
    asio::post(ctx, [&] {
        asio::defer(ctx, note(5));
        asio::dispatch(ctx, note(3));
        asio::defer(ctx, note(6));
        asio::dispatch(ctx, note(4));
    });
    BOOST_TEST(ran.empty());
    ctx.run();
    ctx.restart();
    asio::post(ctx, [&] {
        for (int i = 7; i < 20; ++i) {
            asio::post(ctx, note(i));
        }
    });
    ctx.run();
    for (int i = 1; i < 20; ++i) {
        BOOST_TEST(ran[static_cast<std::size_t>(i - 1)] == i);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_are_called_as_rvalues_and_may_be_moved_only, Context,
                              test::contexts) {
    struct handler {
        std::unique_ptr<int> owned;
        int* out;
        void operator()() && { *out += *owned; }
    };
    Context ctx;
    int sum = 0;
    asio::post(ctx, handler{std::make_unique<int>(1), &sum});
    asio::post(ctx, [&] { asio::dispatch(ctx, handler{std::make_unique<int>(2), &sum}); });
    ctx.run();
    BOOST_TEST(sum == 3);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(nested)

BOOST_AUTO_TEST_CASE_TEMPLATE(poll_within_a_handler_runs_the_others, Context,
                              test::nesting_contexts) {
    Context ctx;
    std::vector<int> ran;
    asio::post(ctx, [&] {
        ran.push_back(1);
        asio::post(ctx, [&] {
            ran.push_back(3);
            BOOST_TEST(ctx.poll() == 0U);  // two levels deep
        });
        BOOST_TEST(ctx.poll_one() == 1U);
        BOOST_TEST(ctx.poll() == 1U);
        BOOST_TEST(ctx.poll() == 0U);
        BOOST_TEST(!ctx.stopped());  // this handler is work
        ran.push_back(4);
    });
    asio::post(ctx, [&] { ran.push_back(2); });
    BOOST_TEST(ctx.run() == 1U);
    BOOST_TEST(ctx.stopped());
    BOOST_TEST(ran == (std::vector<int>{1, 2, 3, 4}), per_element());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(waiting_within_a_handler_runs_the_others, Context,
                              test::nesting_contexts) {
    Context ctx;
    int ran = 0;
    test::timer_of<Context> soon(ctx, 2ms);
    soon.async_wait([&](auto) { ++ran; });
    asio::post(ctx, [&] {
        BOOST_TEST(ctx.run_one() == 1U);
        BOOST_TEST(ran == 1);
        soon.expires_after(2ms);
        soon.async_wait([&](auto) { ++ran; });
        BOOST_TEST(ctx.run_one_for(test::long_enough) == 1U);
        BOOST_TEST(ctx.run_for(5ms) == 0U);  // this handler is work, so it waits
        BOOST_TEST(!ctx.stopped());
    });
    BOOST_TEST(ctx.run_for(test::long_enough) != 0U);
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(stop_within_a_nested_run_ends_them_all, Context,
                              test::nesting_contexts) {
    Context ctx;
    bool ran = false;
    asio::post(ctx, [&] {
        asio::post(ctx, [&] { ctx.stop(); });
        asio::post(ctx, [&] { ran = true; });
        BOOST_TEST(ctx.run() == 1U);
        BOOST_TEST(ctx.run() == 0U);
    });
    BOOST_TEST(ctx.run() == 1U);
    BOOST_TEST(!ran);
    ctx.restart();
    BOOST_TEST(ctx.run() == 1U);
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_SUITE_END()
