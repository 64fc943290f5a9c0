// The executor that gives each function a fiber of its own.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

struct fixture : test::time_limit {};

struct allocation_counts {
    int made = 0;
    int live = 0;
};

template <class T>
struct counting_allocator {
    using value_type = T;

    explicit counting_allocator(allocation_counts& c) noexcept : counts(&c) {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other) noexcept : counts(other.counts) {}
    T* allocate(std::size_t n) {
        ++counts->made;
        ++counts->live;
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept {
        --counts->live;
        std::allocator<T>().deallocate(p, n);
    }
    template <class U>
    bool operator==(const counting_allocator<U>& other) const noexcept {
        return counts == other.counts;
    }

    allocation_counts* counts;
};

/// Whether the calling code may wait.
bool waits() {
    if (!rung::this_fiber::exists()) {
        return false;
    }
    rung::this_fiber::sleep_for(1us);
    return true;
}

/// Everything that a fiber executor must do, whatever it stands on.
template <class Context>
void check(Context& ctx, const rung::fiber_executor& fibers) {
    int waited = 0;
    const auto f = [&] { waited += waits() ? 1 : 0; };
    asio::post(fibers, f);
    asio::dispatch(fibers, f);
    asio::defer(fibers, f);
    fibers.execute(f);
    asio::any_io_executor any = fibers;
    asio::post(any, f);
    asio::steady_timer t(ctx, 1ms);
    t.async_wait(asio::bind_executor(fibers, [&](error_code) { f(); }));
    asio::co_spawn(
        fibers,
        [&]() -> asio::awaitable<void> {
            f();
            co_await asio::post(asio::use_awaitable);
            f();
        },
        asio::detached);
    asio::post(asio::make_strand(fibers), f);
    asio::post(asio::prefer(fibers, asio::execution::outstanding_work.tracked), f);
    ctx.run();
    BOOST_TEST(waited == 10);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_executor, fixture)

static_assert(asio::execution::is_executor<rung::fiber_executor>::value);
static_assert(std::is_convertible_v<rung::fiber_executor, asio::any_io_executor>);

BOOST_AUTO_TEST_CASE_TEMPLATE(runs_functions_in_fibers_over_every_executor, Context,
                              test::contexts) {
    const auto over = [](auto make) {
        Context ctx;
        check(ctx, make(ctx));
    };
    over([](Context& ctx) { return rung::fiber_executor(ctx); });
    over([](Context& ctx) { return rung::fiber_executor(ctx.get_executor()); });
    over([](Context& ctx) { return rung::fiber_executor(asio::make_strand(ctx)); });
    over([](Context& ctx) {
        return rung::fiber_executor(asio::any_io_executor(ctx.get_executor()));
    });
    over([](Context& ctx) {
        return rung::fiber_executor(asio::any_io_executor(asio::make_strand(ctx)));
    });
    over([](Context& ctx) { return rung::fiber_executor(ctx, {.stack_size = 256 << 10}); });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(has_the_properties_of_what_is_below, Context, test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    BOOST_TEST(&asio::query(fibers, asio::execution::context) ==
               static_cast<asio::execution_context*>(&ctx));
    BOOST_TEST((asio::query(fibers, asio::execution::blocking) ==
                asio::execution::blocking.possibly));
    const auto never = asio::require(fibers, asio::execution::blocking.never);
    BOOST_TEST((asio::query(never, asio::execution::blocking) == asio::execution::blocking.never));
    const auto tracked = asio::prefer(fibers, asio::execution::outstanding_work.tracked);
    BOOST_TEST((asio::query(tracked, asio::execution::outstanding_work) ==
                asio::execution::outstanding_work.tracked));
    const auto next = asio::prefer(fibers, asio::execution::relationship.continuation);
    BOOST_TEST((asio::query(next, asio::execution::relationship) ==
                asio::execution::relationship.continuation));
    BOOST_TEST((asio::query(fibers, asio::execution::mapping) == asio::execution::mapping.thread));
    BOOST_TEST((fibers == rung::fiber_executor(ctx)));
    BOOST_TEST((fibers != never));
    Context other;
    BOOST_TEST((fibers != rung::fiber_executor(other)));
}

BOOST_AUTO_TEST_CASE(carries_the_priority) {
    rung::io_context ctx;
    const rung::fiber_executor fibers(ctx);
    const auto urgent = rung::with_priority(fibers, rung::priority::high);
    static_assert(std::is_same_v<decltype(urgent), const rung::fiber_executor>);
    std::string order;
    asio::post(fibers, [&] { order += "normal "; });
    asio::post(urgent, [&] {
        BOOST_TEST((rung::this_fiber::get_priority() == rung::priority::high));
        order += "urgent ";
    });
    ctx.run();
    BOOST_TEST(order == "urgent normal ");
    BOOST_TEST(ctx.statistics().handlers[0] >= 1U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dispatch_runs_at_once_where_it_may, Context, test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    std::string order;
    asio::dispatch(fibers, [&] { order += "posted "; });
    BOOST_TEST(order.empty());
    asio::post(fibers, [&] {
        order += "outer ";
        const auto outer = rung::this_fiber::get_id();
        asio::dispatch(fibers, [&] {
            BOOST_TEST((rung::this_fiber::get_id() != outer));
            order += "inner ";
            rung::this_fiber::yield();
            order += "end";
        });
        BOOST_TEST((rung::this_fiber::get_id() == outer));
        order += "again ";
    });
    ctx.run();
    BOOST_TEST(order == "posted outer inner again end");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_a_function_throws_leaves_run, Context, test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    int after = 0;
    asio::post(fibers, [] { throw std::runtime_error("at once"); });
    asio::post(fibers, [] {
        rung::this_fiber::yield();
        throw std::invalid_argument("later");
    });
    asio::post(fibers, [&] { ++after; });
    BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
    BOOST_CHECK_THROW(ctx.run(), std::invalid_argument);
    ctx.run();
    BOOST_TEST(after == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_strand_runs_one_fiber_at_a_time, Context, test::shared_contexts) {
    Context ctx;
    const rung::fiber_executor fibers(asio::make_strand(ctx));
    constexpr int n = 200;
    int inside = 0;  // without a lock: that is what the strand is for
    int done = 0;
    for (int i = 0; i < n; ++i) {
        asio::post(fibers, [&] {
            for (int k = 0; k < 5; ++k) {
                BOOST_REQUIRE(++inside == 1);
                --inside;
                rung::this_fiber::yield();
            }
            ++done;
        });
    }
    test::thread_group(3, [&](int) { ctx.run(); }).join();
    BOOST_TEST(done == n);
}

BOOST_AUTO_TEST_CASE(spawn_goes_to_the_executor_below) {
    rung::io_context ctx;
    const rung::fiber_executor fibers(ctx);
    bool ran = false;
    rung::spawn(fibers, [&] { ran = waits(); });
    ctx.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(spawn_heeds_the_options_of_the_executor, Context, test::contexts) {
    Context ctx;
    rung::stack_pool pool;
    const rung::fiber_executor fibers(ctx, {.stacks = &pool, .name = "of the executor"});
    int ran = 0;
    const auto check = [&](std::string_view name, std::size_t in_use) {
        BOOST_TEST(rung::this_fiber::get_name() == name);
        BOOST_TEST(pool.statistics().in_use == in_use);
        ++ran;
    };
    rung::spawn(fibers, [&] { check("of the executor", 1); });
    rung::spawn(fibers, {.name = "of the call"}, [&] { check("of the call", 0); });
    // Lazy tokens start the fiber when the options are gone.
    auto later = [&] {
        const std::string name = "of a lazy token";
        return rung::spawn(ctx, {.name = name}, [&] { check("of a lazy token", 0); },
                           asio::deferred);
    }();
    ctx.run();
    std::move(later)(asio::detached);
    ctx.restart();
    ctx.run();
    BOOST_TEST(ran == 3);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(functions_lie_in_memory_of_their_allocator, Context,
                              test::contexts) {
    Context ctx;
    const rung::fiber_executor fibers(ctx);
    allocation_counts counts;
    const counting_allocator<void> a(counts);
    int ran = 0;
    const auto f = [&] { ran += waits() ? 1 : 0; };
    const auto check = [&](auto submit) {
        const int before = counts.made;
        submit();
        BOOST_TEST(counts.made > before);
    };
    check([&] { rung::spawn(ctx, f, asio::bind_allocator(a, asio::detached)); });
    check([&] { rung::spawn(fibers, f, asio::bind_allocator(a, [](std::exception_ptr) {})); });
    check([&] { fibers.execute(asio::bind_allocator(a, f)); });
    check([&] { asio::post(fibers, asio::bind_allocator(a, f)); });
    check([&] { asio::require(fibers, asio::execution::allocator(a)).execute(f); });
    ctx.run();
    BOOST_TEST(ran == 5);
    BOOST_TEST(counts.live == 0);
}

BOOST_AUTO_TEST_CASE(an_allocator_goes_beside_the_executor_and_keeps_its_properties) {
    rung::io_context ctx;
    const rung::fiber_executor fibers(ctx);
    allocation_counts counts;
    const counting_allocator<int> a(counts);
    const auto with = asio::require(fibers, asio::execution::allocator(a));
    static_assert(asio::execution::is_executor<std::remove_const_t<decltype(with)>>::value);
    BOOST_TEST((asio::query(with, asio::execution::allocator) == a));
    const auto urgent = asio::require(with, rung::priority::high);
    static_assert(std::is_same_v<decltype(with), decltype(urgent)>);
    BOOST_TEST((asio::query(urgent, rung::priority()) == rung::priority::high));
    BOOST_TEST(&asio::query(urgent, asio::execution::context) == &ctx);
    const rung::fiber_executor without = asio::require(urgent, asio::execution::allocator);
    BOOST_TEST((without == asio::require(fibers, rung::priority::high)));
    static_assert(
        std::is_same_v<decltype(asio::query(fibers, asio::execution::allocator)),
                       std::allocator<void>>);
    const std::allocator<int> standard;
    BOOST_TEST((asio::require(fibers, asio::execution::allocator(standard)) == fibers));
}

BOOST_AUTO_TEST_CASE(too_few_stacks_is_an_exception_from_run) {
    rung::io_context ctx;
    rung::stack_pool pool({.limit = 1});
    const rung::fiber_executor fibers(ctx, {.stacks = &pool});
    asio::post(fibers, [] { rung::this_fiber::sleep_for(1ms); });
    asio::post(fibers, [] { BOOST_ERROR("there is no stack for it"); });
    BOOST_CHECK_EXCEPTION(ctx.run(), boost::system::system_error, [](const auto& e) {
        return e.code() == rung::error::stack_limit;
    });
    ctx.run();
}

BOOST_AUTO_TEST_SUITE_END()
