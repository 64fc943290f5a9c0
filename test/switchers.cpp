// How a task waits is its own choice: callbacks, C++20 coroutines, our fibers, asio::spawn's and
// Boost.Cobalt's tasks share a loop, call each other and wait for each other; so does a switcher of
// which rung knows nothing.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#if defined(RUNG_HAS_BOOST_CONTEXT)
#include <boost/asio/spawn.hpp>
#include <boost/context/stack_context.hpp>
#endif
#if defined(RUNG_HAS_BOOST_COBALT)
#include <boost/cobalt/op.hpp>
#include <boost/cobalt/spawn.hpp>
#include <boost/cobalt/task.hpp>
#include <boost/cobalt/this_thread.hpp>
#endif

#include "contexts.hpp"
#include "time_limit.hpp"
#include "ucontext_switcher.hpp"

#if defined(RUNG_HAS_BOOST_COBALT)
/// What noexcept comes to in code of GCC 13 or newer, for a runtime that is older than the library.
extern "C" [[gnu::weak]] void __cxa_call_terminate(void*) noexcept { std::terminate(); }
#endif

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using rung::use_fiber;

namespace {

struct fixture : test::time_limit {};

/// A task in some style: ends with its argument and one more, after a wait.
struct style {
    const char* name;
    std::function<void(rung::io_context&, int, std::function<void(int)>)> start;
};

/// What each style waits for.
template <class Token>
auto async_pause(rung::io_context& ctx, Token&& token) {
    return asio::post(ctx, std::forward<Token>(token));
}

void by_callback(rung::io_context& ctx, int n, std::function<void(int)> done) {
    async_pause(ctx, [n, done = std::move(done)] { done(n + 1); });
}

void by_coroutine(rung::io_context& ctx, int n, std::function<void(int)> done) {
    asio::co_spawn(
        ctx,
        [](rung::io_context& c, int m) -> asio::awaitable<int> {
            co_await async_pause(c, asio::use_awaitable);
            co_return m + 1;
        }(ctx, n),
        [done = std::move(done)](std::exception_ptr, int m) { done(m); });
}

void by_fiber(rung::io_context& ctx, int n, std::function<void(int)> done) {
    rung::spawn(
        ctx,
        [&ctx, n] {
            async_pause(ctx, use_fiber);
            return n + 1;
        },
        [done = std::move(done)](std::exception_ptr, int m) { done(m); });
}

std::vector<style> styles() {
    std::vector<style> all{
        {"callback", by_callback}, {"coroutine", by_coroutine}, {"fiber", by_fiber}};
#if defined(RUNG_HAS_UCONTEXT)
    all.push_back({"ucontext", [](rung::io_context& ctx, int n, std::function<void(int)> done) {
                       asio::post(test::ucontext_executor(ctx.get_executor()),
                                  [&ctx, n, done = std::move(done)] {
                                      async_pause(ctx, test::use_ucontext);
                                      done(n + 1);
                                  });
                   }});
#endif
#if defined(RUNG_HAS_BOOST_CONTEXT)
    all.push_back({"asio::spawn", [](rung::io_context& ctx, int n, std::function<void(int)> done) {
                       asio::spawn(
                           ctx,
                           [&ctx, n](asio::yield_context y) {
                               async_pause(ctx, y);
                               return n + 1;
                           },
                           [done = std::move(done)](std::exception_ptr, int m) { done(m); });
                   }});
#endif
#if defined(RUNG_HAS_BOOST_COBALT)
    all.push_back({"cobalt", [](rung::io_context& ctx, int n, std::function<void(int)> done) {
                       boost::cobalt::spawn(
                           asio::any_io_executor(ctx.get_executor()),
                           [](rung::io_context& c, int m) -> boost::cobalt::task<int> {
                               co_await async_pause(c, boost::cobalt::use_op);
                               co_return m + 1;
                           }(ctx, n),
                           [done = std::move(done)](std::exception_ptr, int m) { done(m); });
                   }});
#endif
    return all;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(switchers, fixture)

BOOST_AUTO_TEST_CASE(every_style_starts_every_other_and_hears_of_its_end) {
    rung::io_context ctx(1);
    int ends = 0;
    const std::vector<style> all = styles();
    for (const style& first : all) {
        for (const style& second : all) {
            BOOST_TEST_INFO(first.name << " starts " << second.name);
            first.start(ctx, 1, [&](int n) {
                second.start(ctx, n, [&](int m) { ends += m == 3 ? 1 : 0; });
            });
        }
    }
    ctx.run();
    BOOST_TEST(ends == static_cast<int>(all.size() * all.size()));
}

BOOST_AUTO_TEST_CASE(styles_wait_for_each_other_by_their_own_tokens) {
    rung::io_context ctx(1);
    const auto fiber = [&] {
        async_pause(ctx, use_fiber);
        return 10;
    };
    const auto coroutine = [&]() -> asio::awaitable<int> {
        co_await async_pause(ctx, asio::use_awaitable);
        co_return 100;
    };
    int sum = 0;
    rung::spawn(ctx, [&] { sum += asio::co_spawn(ctx, coroutine(), use_fiber); });
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            sum += co_await rung::spawn(ctx, fiber, asio::use_awaitable);
        },
        asio::detached);
    int expected = 110;
#if defined(RUNG_HAS_UCONTEXT)
    asio::post(test::ucontext_executor(ctx.get_executor()), [&] {
        sum += rung::spawn(ctx, fiber, test::use_ucontext);
        sum += asio::co_spawn(ctx, coroutine(), test::use_ucontext);
    });
    expected += 110;
#endif
#if defined(RUNG_HAS_BOOST_CONTEXT)
    const auto stackful = [&](asio::yield_context y) {
        async_pause(ctx, y);
        return 1'000;
    };
    rung::spawn(ctx, [&] { sum += asio::spawn(ctx, stackful, use_fiber); });
    asio::spawn(
        ctx,
        [&](asio::yield_context y) {
            // Asio 1.81 cannot rethrow an exception_ptr that comes with a value.
            sum += std::get<1>(rung::spawn(ctx, fiber, asio::as_tuple(y)));
        },
        asio::detached);
    expected += 1'010;
#endif
#if defined(RUNG_HAS_BOOST_COBALT)
    const asio::any_io_executor any = ctx.get_executor();
    const auto task = [&]() -> boost::cobalt::task<int> {
        co_return co_await rung::spawn(ctx, fiber, boost::cobalt::use_op);
    };
    rung::spawn(ctx, [&] { sum += boost::cobalt::spawn(any, task(), use_fiber); });
    expected += 10;
#endif
    ctx.run();
    BOOST_TEST(sum == expected);
}

BOOST_AUTO_TEST_CASE(exceptions_pass_between_styles) {
    rung::io_context ctx(1);
    int caught = 0;
    const auto throws = []() -> int { throw std::runtime_error("thrown in a fiber"); };
    const auto expect = [&](const std::exception& e) {
        caught += e.what() == std::string("thrown in a fiber") ? 1 : 0;
    };
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            try {
                co_await rung::spawn(ctx, throws, asio::use_awaitable);
            } catch (const std::exception& e) {
                expect(e);
            }
        },
        asio::detached);
    rung::spawn(ctx, [&] {
        try {
            asio::co_spawn(
                ctx, [&]() -> asio::awaitable<int> { co_return throws(); }, use_fiber);
        } catch (const std::exception& e) {
            expect(e);
        }
    });
#if defined(RUNG_HAS_BOOST_CONTEXT)
    asio::spawn(
        ctx,
        [&](asio::yield_context y) {
            try {
                const auto [e, n] = rung::spawn(ctx, throws, asio::as_tuple(y));
                BOOST_TEST(n == 0);
                std::rethrow_exception(e);
            } catch (const std::exception& e) {
                expect(e);
            }
        },
        asio::detached);
    constexpr int expected = 3;
#else
    constexpr int expected = 2;
#endif
    ctx.run();
    BOOST_TEST(caught == expected);
}

BOOST_AUTO_TEST_CASE(a_mutex_and_a_channel_serve_all_styles) {
    rung::io_context ctx(1);
    rung::mutex m(ctx);
    rung::channel<int> c(ctx, 2);
    int inside = 0;
    int sum = 0;
    const auto enter = [&] { BOOST_TEST(++inside == 1); };
    const auto leave = [&] {
        --inside;
        m.unlock();
    };
    rung::spawn(ctx, [&] {
        m.lock();
        enter();
        async_pause(ctx, use_fiber);
        leave();
        while (const auto n = c.receive()) {
            sum += *n;
        }
    });
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            co_await m.async_lock(asio::use_awaitable);
            enter();
            co_await async_pause(ctx, asio::use_awaitable);
            leave();
            for (int i = 1; i <= 10; ++i) {
                co_await c.async_send(i, asio::use_awaitable);
            }
            c.close();
        },
        asio::detached);
    m.async_lock([&](error_code) {
        enter();
        async_pause(ctx, leave);
    });
#if defined(RUNG_HAS_UCONTEXT)
    asio::post(test::ucontext_executor(ctx.get_executor()), [&] {
        m.async_lock(test::use_ucontext);
        enter();
        async_pause(ctx, test::use_ucontext);
        leave();
    });
#endif
    ctx.run();
    BOOST_TEST(sum == 55);
    BOOST_TEST(inside == 0);
}

BOOST_AUTO_TEST_CASE(stacks_come_from_a_memory_of_ones_own) {
    /// One block that was there beforehand, as for huge or locked pages.
    class arena : public rung::stack_memory {
    public:
        void* map(std::size_t bytes) override {
            if (block_ != nullptr) {
                throw std::bad_alloc();
            }
            size_ = bytes;
            return block_ = stack_memory::map(bytes);
        }
        void unmap(void* at, std::size_t bytes) noexcept override {
            stack_memory::unmap(at, bytes);
            block_ = nullptr;
        }
        bool holds(const void* p) const noexcept {
            const auto* const at = static_cast<const char*>(p);
            const auto* const begin = static_cast<const char*>(block_);
            return std::less_equal<>()(begin, at) && std::less<>()(at, begin + size_);
        }

    private:
        void* block_ = nullptr;
        std::size_t size_ = 0;
    };
    arena memory;
    rung::stack_pool pool({.limit = 4}, &memory);
    rung::io_context ctx(1);
    int on_it = 0;
    for (int i = 0; i < 3; ++i) {
        rung::spawn(ctx, {.stacks = &pool}, [&] {
            rung::this_fiber::yield();
            on_it += memory.holds(__builtin_frame_address(0)) ? 1 : 0;
        });
    }
    ctx.run();
    BOOST_TEST(on_it == 3);
    BOOST_TEST(pool.statistics().in_use == 0U);
}

#if defined(RUNG_HAS_BOOST_CONTEXT)

BOOST_AUTO_TEST_CASE(other_switchers_take_stacks_from_our_pool) {
    /// What Boost.Context calls a stack allocator.
    struct pooled {
        rung::stack_pool* pool;
        boost::context::stack_context allocate() const {
            const rung::stack s = pool->allocate();
            boost::context::stack_context c;
            c.sp = static_cast<char*>(s.bottom) + s.size;
            c.size = s.size;
            return c;
        }
        void deallocate(boost::context::stack_context& c) const noexcept {
            pool->deallocate({static_cast<char*>(c.sp) - c.size, c.size});
        }
    };
    rung::stack_pool pool;
    rung::io_context ctx(1);
    int ran = 0;
    for (int i = 0; i < 3; ++i) {
        asio::spawn(
            ctx, std::allocator_arg, pooled{&pool},
            [&](asio::yield_context y) {
                asio::post(ctx, y);
                ++ran;
            },
            asio::detached);
    }
    ctx.poll_one();
    BOOST_TEST(pool.statistics().in_use == 3U);
    ctx.run();
    BOOST_TEST(ran == 3);
    BOOST_TEST(pool.statistics().in_use == 0U);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
