// Fibers on the stacks of Boost.Context's allocators, and of those that programs write like them.

#include <sys/mman.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "errors_of.hpp"
#include "fiber_test.hpp"

#if defined(RUNG_HAS_BOOST_CONTEXT)
#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#endif

namespace {

struct fixture : test::time_limit {};

#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
constexpr std::size_t usual_size = std::size_t{512} << 10;
#else
constexpr std::size_t usual_size = std::size_t{128} << 10;
#endif

/// What an allocator was asked for.
struct account {
    std::size_t allocated = 0;
    std::size_t deallocated = 0;
    char* bottom = nullptr;  // of the latest
    std::size_t size = 0;

    bool contains(const void* p) const { return p >= bottom && p < bottom + size; }
    bool even() const { return allocated == deallocated; }
};

/// A stack below which the first page, which its size counts, is guarded. Can be moved only, and
/// refuses once `limit` stacks are in use.
class guarded_stack {
public:
    struct context {
        void* sp;
        std::size_t size;
    };

    explicit guarded_stack(account& a, std::size_t size = usual_size, std::size_t limit = 100'000)
        : account_(&a), size_(size), limit_(limit) {}
    guarded_stack(guarded_stack&&) = default;
    guarded_stack& operator=(guarded_stack&&) = default;

    context allocate() {
        if (account_->allocated - account_->deallocated == limit_) {
            throw std::bad_alloc();
        }
        void* const at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        BOOST_REQUIRE(at != MAP_FAILED);
        ::mprotect(at, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), PROT_NONE);
        ++account_->allocated;
        account_->bottom = static_cast<char*>(at);
        account_->size = size_;
        return {account_->bottom + size_, size_};
    }
    void deallocate(context& c) noexcept {
        ++account_->deallocated;
        ::munmap(static_cast<char*>(c.sp) - c.size, c.size);
    }

private:
    account* account_;
    std::size_t size_;
    std::size_t limit_;
};

/// What the exception says: a system_error's code.
error_code code_of(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const system_error& error) {
        return error.code();
    }
}

[[gnu::noinline]] int endless(volatile int* n) {
    volatile char frame[256];
    frame[0] = static_cast<char>(*n);
    return *n == -1 ? 0 : endless(n) + frame[0];
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(spawn_stacks, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_runs_on_the_stack_of_its_allocator, Context, test::contexts) {
    account a;
    int result = 0;
    {
        Context ctx;
        const auto before = rung::stack_pool::common().statistics();
        auto twenty = std::make_unique<int>(20);  // has the function be one that can be moved only
        rung::spawn(
            ctx, std::allocator_arg, guarded_stack(a),
            [&a, twenty = std::move(twenty)] {
                BOOST_TEST(a.contains(__builtin_frame_address(0)));
                rung::this_fiber::yield();
                rung::this_fiber::sleep_for(1ms);
                BOOST_TEST(a.deallocated == 0U);
                return *twenty + 1;
            },
            [&](const std::exception_ptr& e, int n) {
                BOOST_TEST(!e);
                result = n;
            });
        BOOST_TEST(a.allocated == 0U);  // not within the initiating function
        ctx.run();
        BOOST_TEST(a.allocated == 1U);
        BOOST_TEST(a.deallocated == 1U);
        BOOST_TEST(rung::stack_pool::common().statistics().in_use == before.in_use);
    }
    BOOST_TEST(result == 21);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_stack_goes_back_when_the_function_throws, Context,
                              test::contexts) {
    account a;
    std::string what;
    Context ctx;
    rung::spawn(
        ctx, std::allocator_arg, guarded_stack(a),
        [] {
            rung::this_fiber::yield();
            throw std::runtime_error("out");
        },
        [&](const std::exception_ptr& e) {
            try {
                std::rethrow_exception(e);
            } catch (const std::runtime_error& error) {
                what = error.what();
            }
        });
    ctx.run();
    BOOST_TEST(what == "out");
    BOOST_TEST(a.allocated == 1U);
    BOOST_TEST(a.even());

    rung::spawn(
        ctx, std::allocator_arg, guarded_stack(a), [] {},
        [](const std::exception_ptr&) { throw std::runtime_error("from the handler"); });
    ctx.restart();
    BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
    BOOST_TEST(a.allocated == 2U);
    BOOST_TEST(a.even());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_stack_that_is_refused_is_the_completions_exception, Context,
                              test::contexts) {
    account a;
    Context ctx;
    int ended = 0, refused = 0;
    for (int i = 0; i < 3; ++i) {
        rung::spawn(
            ctx, std::allocator_arg, guarded_stack(a, usual_size, 2),
            [] { rung::this_fiber::sleep_for(1ms); },
            [&](const std::exception_ptr& e) {
                ++ended;
                if (e) {
                    BOOST_CHECK_THROW(std::rethrow_exception(e), std::bad_alloc);
                    ++refused;
                }
            });
    }
    ctx.run();
    BOOST_TEST(ended == 3);
    BOOST_TEST(refused == 1);
    BOOST_TEST(a.even());
}

BOOST_AUTO_TEST_CASE(a_stack_that_is_too_small_is_refused_and_goes_back) {
    /// Memory of the heap.
    struct small_stack {
        struct context {
            void* sp;
            std::size_t size;
        };
        int* in_use;
        context allocate() {
            ++*in_use;
            return {new char[1024] + 1024, 1024};
        }
        void deallocate(context& c) noexcept {
            --*in_use;
            delete[](static_cast<char*>(c.sp) - c.size);
        }
    };
    rung::io_context ctx;
    int in_use = 0;
    std::exception_ptr error;
    rung::spawn(
        ctx, std::allocator_arg, small_stack{&in_use}, [] { BOOST_ERROR("it runs"); },
        [&](const std::exception_ptr& e) { error = e; });
    ctx.run();
    BOOST_REQUIRE(error);
    BOOST_TEST((code_of(error) == boost::system::errc::argument_out_of_domain));
    BOOST_TEST(in_use == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_end_of_the_context_unwinds_the_stack_and_frees_it, Context,
                              test::contexts) {
    account a;
    int unwound = 0;
    const auto at_exit = [&] { return std::shared_ptr<void>(nullptr, [&](void*) { ++unwound; }); };
    {
        Context ctx;
        for (int i = 0; i < 10; ++i) {
            rung::spawn(ctx, std::allocator_arg, guarded_stack(a), [&] {
                const auto here = at_exit();
                rung::spawn(
                    ctx, std::allocator_arg, guarded_stack(a),
                    [&] {
                        const auto there = at_exit();
                        rung::this_fiber::sleep_for(1h);
                    },
                    use_fiber);
            });
        }
        ctx.poll();
        ctx.poll();
        BOOST_TEST(a.allocated == 20U);
        BOOST_TEST(a.deallocated == 0U);
        rung::spawn(ctx, std::allocator_arg, guarded_stack(a), [&] { BOOST_ERROR("it runs"); });
    }
    BOOST_TEST(a.allocated == 20U);  // not for a function that never began
    BOOST_TEST(unwound == 20);
    BOOST_TEST(a.even());
}

BOOST_AUTO_TEST_CASE(fibers_of_every_executor_take_an_allocator) {
    account a;
    int ran = 0;
    rung::io_context ctx;
    const auto count = [&] {
        rung::this_fiber::sleep_for(1ms);
        ++ran;
    };
    rung::spawn(rung::fiber_executor(ctx), std::allocator_arg, guarded_stack(a), count);
    rung::spawn(asio::make_strand(ctx), std::allocator_arg, guarded_stack(a), count);
    rung::spawn(asio::any_io_executor(ctx.get_executor()), std::allocator_arg, guarded_stack(a),
                count);
    auto later = rung::spawn(ctx, std::allocator_arg, guarded_stack(a), count, asio::deferred);
    std::move(later)([&](const std::exception_ptr& e) { BOOST_TEST(!e); });
    ctx.run();
    BOOST_TEST(ran == 4);

    asio::thread_pool pool(1);
    rung::spawn(pool, std::allocator_arg, guarded_stack(a), count, asio::use_future).get();
    pool.join();
    BOOST_TEST(ran == 5);
    BOOST_TEST(a.allocated == 5U);
    BOOST_TEST(a.even());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_thousand_of_them_come_and_go_in_any_order, Context,
                              test::contexts) {
    account a;
    Context ctx;
    int ended = 0;
    for (int i = 0; i < 1000; ++i) {
        rung::spawn(ctx, std::allocator_arg, guarded_stack(a), [&, i] {
            rung::this_fiber::sleep_for(std::chrono::microseconds(i * 37 % 1000));
            ++ended;
        });
    }
    ctx.run();
    BOOST_TEST(ended == 1000);
    BOOST_TEST(a.allocated == 1000U);
    BOOST_TEST(a.even());
}

BOOST_AUTO_TEST_CASE(a_request_to_cancel_reaches_it) {
    account a;
    rung::io_context ctx;
    asio::cancellation_signal signal;
    std::exception_ptr error;
    rung::spawn(
        ctx, std::allocator_arg, guarded_stack(a), [] { rung::this_fiber::sleep_for(1h); },
        asio::bind_cancellation_slot(signal.slot(),
                                     [&](const std::exception_ptr& e) { error = e; }));
    ctx.poll();
    signal.emit(asio::cancellation_type::terminal);
    ctx.run();
    BOOST_REQUIRE(error);
    BOOST_TEST((code_of(error) == asio::error::operation_aborted));
    BOOST_TEST(a.even());
}

#if !defined(RUNG_ASAN) && !defined(RUNG_TSAN)
BOOST_AUTO_TEST_CASE(an_overflow_into_the_guard_page_is_reported) {
    int status = 0;
    const std::string text = test::errors_of(
        [] {
            account a;
            rung::report_stack_overflows();
            rung::io_context ctx;
            rung::spawn(ctx, std::allocator_arg, guarded_stack(a), [] {
                volatile int n = 0;
                endless(&n);
            });
            ctx.run();
        },
        status);
    BOOST_TEST(text.find("the size of its stack allocator") != std::string::npos);
    BOOST_TEST(test::died_by(status, SIGSEGV));
}
#endif

#if defined(RUNG_HAS_BOOST_CONTEXT)
BOOST_AUTO_TEST_CASE(boosts_own_allocators_serve) {
    rung::io_context ctx;
    int ran = 0;
    const auto f = [&] {
        volatile char frame[32 << 10];
        frame[0] = 1;
        rung::this_fiber::yield();
        ran += frame[0];
    };
    boost::context::pooled_fixedsize_stack pooled(usual_size);
    for (int i = 0; i < 10; ++i) {
        rung::spawn(ctx, std::allocator_arg, boost::context::protected_fixedsize_stack(usual_size),
                    f);
        rung::spawn(ctx, std::allocator_arg, boost::context::fixedsize_stack(usual_size), f);
        rung::spawn(ctx, std::allocator_arg, pooled, f);
    }
    ctx.run();
    BOOST_TEST(ran == 30);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
