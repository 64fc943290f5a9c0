// What allocates, and from where. The sanitizers bring their own operator new; there the cases
// about the steady state only run, without counting.

#include "allocations.hpp"

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <rung/rung.hpp>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "contexts.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using timer = test::timer_of<rung::io_context>;
using ours = std::tuple<rung::io_context, test::rung_of_one_thread>;

namespace {

/// Allocations that `work` makes once it has been done often enough to have its memory.
template <class F>
std::uint64_t steady_allocations(F work) {
    for (int warm_up = 0; warm_up < 20; ++warm_up) {
        work();
    }
    const std::uint64_t before = test::allocations();
    for (int i = 0; i < 50; ++i) {
        work();
    }
    return test::allocations() - before;
}

/// Counts what is taken from it and not given back.
struct tally {
    std::size_t taken = 0;
    std::size_t bytes = 0;
};

template <class T>
class counting_allocator {
public:
    using value_type = T;
    explicit counting_allocator(tally& t) noexcept : tally_(&t) {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other) noexcept : tally_(other.tally_) {}

    T* allocate(std::size_t n) {
        ++tally_->taken;
        tally_->bytes += n * sizeof(T);
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept {
        tally_->bytes -= n * sizeof(T);
        std::allocator<T>().deallocate(p, n);
    }
    friend bool operator==(const counting_allocator&, const counting_allocator&) = default;

private:
    template <class>
    friend class counting_allocator;
    tally* tally_;
};

/// A handler that is larger than what is recycled, so that each operation asks operator new.
template <class F>
auto large(F f) {
    return [f, ballast = std::array<std::byte, 4096>()](auto&&...) {
        static_cast<void>(ballast);
        f();
    };
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(steady_state, test::time_limit)

BOOST_AUTO_TEST_CASE_TEMPLATE(post_and_run, Context, ours) {
    Context ctx;
    int ran = 0;
    const std::array<int, 20> ballast{};  // beyond what a pointer's worth of handler takes
    BOOST_TEST(steady_allocations([&] {
                   ctx.restart();
                   for (int i = 0; i < 500; ++i) {
                       asio::post(ctx, [&] { ++ran; });
                       asio::post(ctx, [&ran, ballast] { ran += 1 + ballast[0]; });
                   }
                   ctx.run();
               }) == 0U);
    BOOST_TEST(ran == 70 * 1'000);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_chain_of_posts_at_every_level, Context, ours) {
    Context ctx;
    int left = 0;
    std::function<void()> next = [&] {
        if (--left > 0) {
            const auto ex = ctx.get_executor();
            const auto p = left % 2 == 0 ? rung::priority::high : rung::priority::low;
            asio::post(asio::require(ex, p), std::ref(next));
        }
    };
    BOOST_TEST(steady_allocations([&] {
                   ctx.restart();
                   left = 1'000;
                   asio::post(ctx, std::ref(next));
                   ctx.run();
               }) == 0U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dispatch_and_defer_within_a_handler, Context, ours) {
    Context ctx;
    const asio::any_io_executor any = ctx.get_executor();
    int ran = 0;
    BOOST_TEST(steady_allocations([&] {
                   ctx.restart();
                   asio::post(ctx, [&] {
                       for (int i = 0; i < 100; ++i) {
                           asio::dispatch(ctx, [&] { ++ran; });
                           asio::dispatch(any, [&] { ++ran; });
                           asio::defer(ctx, [&] { ++ran; });
                       }
                   });
                   ctx.run();
               }) == 0U);
    BOOST_TEST(ran == 70 * 300);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(timers_set_cancelled_and_expired, Context, ours) {
    Context ctx;
    std::vector<std::unique_ptr<timer>> timers;
    for (int i = 0; i < 100; ++i) {
        timers.push_back(std::make_unique<timer>(ctx));
    }
    int ran = 0;
    BOOST_TEST(steady_allocations([&] {
                   ctx.restart();
                   for (std::size_t i = 0; i < timers.size(); ++i) {
                       timers[i]->expires_after(i % 2 == 0 ? 1h : std::chrono::nanoseconds(i));
                       timers[i]->async_wait([&](error_code) { ++ran; });
                   }
                   for (std::size_t i = 0; i < timers.size(); i += 2) {
                       timers[i]->cancel();
                   }
                   ctx.run();
               }) == 0U);
    BOOST_TEST(ran == 70 * 100);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(awaiting_posts_and_timers, Context, ours) {
    Context ctx;
    std::uint64_t made = 1;
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            timer t(ctx);
            const auto step = [&]() -> asio::awaitable<void> {
                co_await asio::post(ctx, asio::use_awaitable);
                co_await asio::post(asio::use_awaitable);
                t.expires_after(0s);
                co_await t.async_wait(asio::use_awaitable);
            };
            for (int i = 0; i < 20; ++i) {
                co_await step();
            }
            const std::uint64_t before = test::allocations();
            for (int i = 0; i < 200; ++i) {
                co_await step();
            }
            made = test::allocations() - before;
        },
        asio::detached);
    ctx.run();
    BOOST_TEST(made == 0U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(spawning_coroutines, Context, ours) {
    Context ctx;
    const auto empty = []() -> asio::awaitable<void> { co_return; };
    std::uint64_t made = 1;
    // From within the loop, on whose thread frames are recycled.
    asio::post(ctx, [&] {
        made = steady_allocations([&] {
            asio::co_spawn(ctx, empty, asio::detached);
            ctx.poll();
        });
    });
    ctx.run();
    BOOST_TEST(made == 0U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(posts_from_another_thread, Context, ours) {
    constexpr int burst = 200;
    Context ctx;
    auto guard = asio::make_work_guard(ctx);
    std::thread runner([&] { ctx.run(); });
    std::atomic<int> ran = 0;
    int posted = 0;
    std::atomic<bool> wait = false;
    BOOST_TEST(steady_allocations([&] {
                   // The loop stands still meanwhile, so that all rounds need the same memory.
                   wait = true;
                   asio::post(ctx, [&] {
                       while (wait) {
                           std::this_thread::yield();
                       }
                   });
                   for (int i = 0; i < burst; ++i) {
                       asio::post(ctx, [&] { ran.fetch_add(1); });
                   }
                   posted += burst;
                   wait = false;
                   while (ran.load() != posted) {
                       std::this_thread::yield();
                   }
               }) == 0U);
    guard.reset();
    runner.join();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handler_that_is_posted_to_and_fro, Context, ours) {
    Context a;
    Context b;
    auto guard_a = asio::make_work_guard(a);
    auto guard_b = asio::make_work_guard(b);
    int left = 3'000;
    std::uint64_t before = 0;
    std::uint64_t after = 1;
    std::function<void()> in_b;
    std::function<void()> in_a = [&] {
        --left;
        before = left == 2'000 ? test::allocations() : before;
        if (left > 0) {
            asio::post(b, std::ref(in_b));
            return;
        }
        after = test::allocations();
        guard_a.reset();
        guard_b.reset();
    };
    in_b = [&] { asio::post(a, std::ref(in_a)); };
    asio::post(a, std::ref(in_a));
    std::thread runner([&] { b.run(); });
    a.run();
    runner.join();
    BOOST_TEST(after == before);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(allocators)

BOOST_AUTO_TEST_CASE_TEMPLATE(of_handlers_are_used_and_get_every_byte_back, Context,
                              test::contexts) {
    tally t;
    const counting_allocator<void> a(t);
    std::size_t before = 0;
    const auto used = [&] { return std::exchange(before, t.taken) != t.taken; };
    int ran = 0;
    {
        Context ctx;
        const auto handler = [&] { return asio::bind_allocator(a, [&](auto&&...) { ++ran; }); };
        asio::post(ctx, handler());
        BOOST_TEST(used());
        asio::defer(ctx, handler());
        BOOST_TEST(used());
        asio::dispatch(ctx, handler());
        BOOST_TEST(used());
        asio::post(asio::make_strand(ctx), handler());
        BOOST_TEST(used());
        asio::post(asio::bind_executor(ctx, handler()));
        BOOST_TEST(used());
        test::timer_of<Context> soon(ctx, 0s);
        soon.async_wait(handler());
        BOOST_TEST(used());
        BOOST_TEST(t.bytes != 0U);
        BOOST_TEST(ctx.run() == 6U);
        BOOST_TEST(t.bytes == 0U);
        BOOST_TEST(ran == 6);

        // What never runs is given back, too.
        test::timer_of<Context> far(ctx, 1h);
        far.async_wait(handler());
        asio::post(ctx, handler());
        BOOST_TEST(t.bytes != 0U);
    }
    BOOST_TEST(t.bytes == 0U);
    BOOST_TEST(ran == 6);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(are_free_again_before_the_handler_runs, Context, test::contexts) {
    tally t;
    Context ctx;
    std::size_t while_running = 1;
    const auto check = [&] {
        return asio::bind_allocator(counting_allocator<void>(t),
                                    [&](auto&&...) { while_running = t.bytes; });
    };
    asio::post(ctx, check());
    ctx.run();
    BOOST_TEST(while_running == 0U);
    ctx.restart();
    while_running = 1;
    test::timer_of<Context> soon(ctx, 0s);
    soon.async_wait(check());
    ctx.run();
    BOOST_TEST(while_running == 0U);
}

BOOST_AUTO_TEST_CASE(follow_a_handler_to_another_executor) {
    tally t;
    rung::io_context ctx;
    asio::io_context other;
    timer soon(ctx, 0s);
    soon.async_wait(asio::bind_allocator(counting_allocator<void>(t),
                                         asio::bind_executor(other, [](error_code) {})));
    ctx.run();
    BOOST_TEST(t.taken == 2U);  // the wait, and its way through the other context
    BOOST_TEST(t.bytes != 0U);
    other.run();
    BOOST_TEST(t.bytes == 0U);
}

BOOST_AUTO_TEST_CASE(over_aligned_handlers_are_aligned) {
    struct alignas(128) aligned {
        std::uintptr_t* at;
        void operator()(error_code = {}) const { *at = reinterpret_cast<std::uintptr_t>(this); }
    };
    rung::io_context ctx;
    std::uintptr_t at = 1;
    asio::post(ctx, aligned{&at});
    ctx.run();
    BOOST_TEST(at % 128 == 0U);
    ctx.restart();
    timer soon(ctx, 0s);
    soon.async_wait(aligned{&at});
    ctx.run();
    BOOST_TEST(at % 128 == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(failures)

BOOST_AUTO_TEST_CASE(of_a_post_leave_the_context_as_it_was) {
    if (!test::counts_allocations()) {
        return;
    }
    rung::io_context ctx;
    int ran = 0;
    const auto handler = large([&] { ++ran; });
    test::fail_allocation(1);
    BOOST_CHECK_THROW(asio::post(ctx, handler), std::bad_alloc);
    asio::post(ctx, handler);
    BOOST_TEST(ctx.run() == 1U);
    BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE(of_a_wait_destroy_its_handler_and_nothing_else) {
    if (!test::counts_allocations()) {
        return;
    }
    for (std::uint64_t n = 1;; ++n) {
        rung::io_context ctx;
        const auto owned = std::make_shared<int>();
        int ran = 0;
        timer t(ctx, 0s);
        test::fail_allocation(n);
        bool failed = false;
        try {
            t.async_wait(large([&ran, owned] { ++ran; }));
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        test::fail_allocation(0);
        BOOST_TEST(owned.use_count() == (failed ? 1 : 2));
        BOOST_TEST(ctx.run() == (failed ? 0U : 1U));
        BOOST_TEST(ran == (failed ? 0 : 1));
        if (!failed) {
            BOOST_TEST(n > 1U);
            break;
        }
        ctx.restart();
        t.async_wait([&](error_code) { ++ran; });
        BOOST_TEST(ctx.run() == 1U);
    }
}

BOOST_AUTO_TEST_SUITE_END()
