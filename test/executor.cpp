#include <rung/executor.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/io_context.hpp>
#include <rung/priority.hpp>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocations.hpp"

namespace asio = boost::asio;
namespace execution = boost::asio::execution;
using asio::any_io_executor;
using asio::strand;
using rung::executor;
using stock = asio::io_context::executor_type;

// The concept, and what any_io_executor wants of a type that it holds inline.
static_assert(execution::is_executor<executor>::value);
static_assert(asio::is_executor<executor>::value);  // the older interface
static_assert(asio::is_executor<strand<executor>>::value);
static_assert(std::is_nothrow_copy_constructible_v<executor>);
static_assert(std::is_nothrow_move_constructible_v<executor>);
static_assert(std::is_nothrow_copy_assignable_v<executor>);
static_assert(std::is_nothrow_move_assignable_v<executor>);
static_assert(std::is_nothrow_destructible_v<executor>);
static_assert(!std::is_default_constructible_v<executor>);
static_assert(sizeof(executor) == 2 * sizeof(void*));
static_assert(std::is_convertible_v<executor, any_io_executor>);
static_assert(std::is_convertible_v<strand<executor>, any_io_executor>);

template <class T>
struct test_allocator : std::allocator<T> {
    test_allocator() = default;
    template <class U>
    test_allocator(const test_allocator<U>&) noexcept {}
    template <class U>
    struct rebind {
        using other = test_allocator<U>;
    };
};

/// Whether a property may be asked of ours exactly where it may be asked of stock Asio's executor.
template <class Property>
constexpr bool as_stock =
    asio::can_require<executor, Property>::value ==
    asio::can_require<stock, Property>::value&& asio::can_prefer<executor, Property>::value ==
    asio::can_prefer<stock, Property>::value&& asio::can_query<executor, Property>::value ==
    asio::can_query<stock, Property>::value&&
        asio::can_require_concept<executor, Property>::value ==
    asio::can_require_concept<stock, Property>::value;

static_assert(as_stock<execution::blocking_t>);
static_assert(as_stock<execution::blocking_t::possibly_t>);
static_assert(as_stock<execution::blocking_t::never_t>);
static_assert(as_stock<execution::blocking_t::always_t>);
static_assert(as_stock<execution::relationship_t>);
static_assert(as_stock<execution::relationship_t::fork_t>);
static_assert(as_stock<execution::relationship_t::continuation_t>);
static_assert(as_stock<execution::outstanding_work_t>);
static_assert(as_stock<execution::outstanding_work_t::tracked_t>);
static_assert(as_stock<execution::outstanding_work_t::untracked_t>);
static_assert(as_stock<execution::mapping_t>);
static_assert(as_stock<execution::mapping_t::thread_t>);
static_assert(as_stock<execution::mapping_t::new_thread_t>);
static_assert(as_stock<execution::mapping_t::other_t>);
static_assert(as_stock<execution::allocator_t<void>>);
static_assert(as_stock<execution::allocator_t<std::allocator<void>>>);
static_assert(as_stock<execution::allocator_t<std::allocator<int>>>);
static_assert(as_stock<execution::allocator_t<test_allocator<void>>>);
static_assert(as_stock<execution::context_t>);
static_assert(as_stock<execution::context_as_t<asio::execution_context&>>);

/// Whether `require` and `prefer` of it give the one type back, and do not throw.
template <class Property>
constexpr bool keeps_type =
    std::is_same_v<typename asio::require_result<const executor&, Property>::type, executor>&&
        std::is_same_v<typename asio::prefer_result<const executor&, Property>::type, executor>&&
            asio::is_nothrow_require<const executor&, Property>::value&&
                asio::is_nothrow_prefer<const executor&, Property>::value;

static_assert(keeps_type<execution::blocking_t::possibly_t>);
static_assert(keeps_type<execution::blocking_t::never_t>);
static_assert(keeps_type<execution::relationship_t::fork_t>);
static_assert(keeps_type<execution::relationship_t::continuation_t>);
static_assert(keeps_type<execution::outstanding_work_t::tracked_t>);
static_assert(keeps_type<execution::outstanding_work_t::untracked_t>);
static_assert(keeps_type<execution::allocator_t<void>>);
static_assert(keeps_type<execution::allocator_t<std::allocator<int>>>);
static_assert(keeps_type<rung::priority>);
static_assert(keeps_type<rung::io_priority>);

template <class Property, class Result>
constexpr bool answers = std::is_same_v<
    std::remove_const_t<typename asio::query_result<const executor&, Property>::type>, Result>&&
    asio::is_nothrow_query<const executor&, Property>::value;

static_assert(answers<execution::blocking_t, execution::blocking_t>);
static_assert(answers<execution::relationship_t, execution::relationship_t>);
static_assert(answers<execution::outstanding_work_t, execution::outstanding_work_t>);
static_assert(answers<execution::mapping_t, execution::mapping_t>);
static_assert(answers<execution::allocator_t<void>, std::allocator<void>>);
static_assert(answers<execution::context_t, rung::io_context&>);
static_assert(answers<rung::priority, rung::priority>);
static_assert(answers<rung::io_priority, rung::io_priority>);
static_assert(executor::query(execution::mapping) == execution::mapping.thread);

namespace {

/// Whether the context has work, asked without running any.
bool has_work(rung::io_context& ctx) {
    ctx.restart();
    BOOST_TEST(ctx.poll() == 0U);
    return !ctx.stopped();
}

/// An executor in the older style, to which a handler may still be bound.
struct older_executor {
    asio::io_context* ctx;
    asio::execution_context& context() const noexcept { return *ctx; }
    void on_work_started() const noexcept {}
    void on_work_finished() const noexcept {}
    template <class F, class A>
    void dispatch(F&& f, const A& a) const {
        ctx->get_executor().dispatch(std::forward<F>(f), a);
    }
    template <class F, class A>
    void post(F&& f, const A& a) const {
        ctx->get_executor().post(std::forward<F>(f), a);
    }
    template <class F, class A>
    void defer(F&& f, const A& a) const {
        ctx->get_executor().defer(std::forward<F>(f), a);
    }
    [[maybe_unused]] friend bool operator==(older_executor, older_executor) = default;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_fresh_executor_has_the_defaults_of_stock_asio) {
    rung::io_context ctx;
    asio::io_context rival;
    const executor ex = ctx.get_executor();
    const stock other = rival.get_executor();
    BOOST_TEST((asio::query(ex, execution::blocking) == asio::query(other, execution::blocking)));
    BOOST_TEST(
        (asio::query(ex, execution::relationship) == asio::query(other, execution::relationship)));
    BOOST_TEST((asio::query(ex, execution::outstanding_work) ==
                asio::query(other, execution::outstanding_work)));
    BOOST_TEST((asio::query(ex, execution::mapping) == asio::query(other, execution::mapping)));
    BOOST_TEST(&asio::query(ex, execution::context) == &ctx);
    BOOST_TEST(&asio::query(ex, execution::context_as<asio::execution_context&>) == &ctx);
    BOOST_TEST((asio::query(ex, rung::priority()) == rung::priority::normal));
    BOOST_TEST((asio::query(ex, rung::io_priority()) == rung::io_priority::normal));
}

BOOST_AUTO_TEST_CASE(each_property_changes_alone_and_changes_back) {
    rung::io_context ctx;
    const executor plain = ctx.get_executor();
    const auto check = [&](auto change, auto back, auto property) {
        const executor changed = asio::require(plain, change);
        BOOST_TEST((asio::query(changed, property) == change));
        BOOST_TEST((asio::query(plain, property) == back));
        BOOST_TEST((asio::require(changed, back) == plain));
        BOOST_TEST((asio::prefer(plain, change) == changed));
    };
    check(execution::blocking.never, execution::blocking.possibly, execution::blocking);
    check(execution::relationship.continuation, execution::relationship.fork,
          execution::relationship);
    check(execution::outstanding_work.tracked, execution::outstanding_work.untracked,
          execution::outstanding_work);
    check(rung::priority::high, rung::priority::normal, rung::priority());
    check(rung::priority::low, rung::priority::normal, rung::priority());
    check(rung::io_priority::high, rung::io_priority::normal, rung::io_priority());
    check(rung::io_priority::low, rung::io_priority::normal, rung::io_priority());

    const executor all =
        asio::require(plain, execution::blocking.never, execution::relationship.continuation,
                      rung::priority::low, rung::io_priority::high);
    BOOST_TEST((asio::query(all, execution::blocking) == execution::blocking.never));
    BOOST_TEST((asio::query(all, execution::relationship) == execution::relationship.continuation));
    BOOST_TEST((asio::query(all, rung::priority()) == rung::priority::low));
    BOOST_TEST((asio::query(all, rung::io_priority()) == rung::io_priority::high));
}

BOOST_AUTO_TEST_CASE(an_allocator_goes_beside_the_executor_and_keeps_its_properties) {
    rung::io_context ctx;
    const test_allocator<int> a;
    const auto with = asio::require(ctx.get_executor(), execution::allocator(a));
    using with_type = std::decay_t<decltype(with)>;
    static_assert(execution::is_executor<with_type>::value);
    static_assert(std::is_convertible_v<with_type, any_io_executor>);
    static_assert(
        std::is_same_v<decltype(asio::query(with, execution::allocator)), test_allocator<int>>);
    const auto urgent = asio::require(with, rung::priority::high, execution::blocking.never);
    static_assert(std::is_same_v<std::decay_t<decltype(urgent)>, with_type>);
    BOOST_TEST((urgent != with));
    BOOST_TEST((asio::query(urgent, rung::priority()) == rung::priority::high));
    BOOST_TEST((asio::query(urgent, execution::blocking) == execution::blocking.never));
    BOOST_TEST((asio::query(urgent, execution::mapping) == execution::mapping.thread));
    BOOST_TEST(&asio::query(urgent, execution::context) == &ctx);
    const executor without = asio::require(urgent, execution::allocator);
    BOOST_TEST((asio::query(without, rung::priority()) == rung::priority::high));
    int ran = 0;
    asio::post(with, [&] { ++ran; });
    asio::post(any_io_executor(urgent), [&] { ++ran; });
    BOOST_TEST(ctx.run() == 2U);
    BOOST_TEST(ran == 2);
}

BOOST_AUTO_TEST_CASE(executors_are_equal_where_submitting_to_either_means_the_same) {
    rung::io_context ctx;
    rung::io_context second;
    const executor ex = ctx.get_executor();
    BOOST_TEST((ex == ctx.get_executor()));
    BOOST_TEST((ex != second.get_executor()));
    BOOST_TEST((ex != asio::require(ex, execution::blocking.never)));
    BOOST_TEST((ex != asio::require(ex, execution::relationship.continuation)));
    BOOST_TEST((ex != asio::require(ex, rung::priority::high)));
    BOOST_TEST((ex != asio::require(ex, rung::io_priority::low)));
    BOOST_TEST((ex == asio::require(ex, execution::outstanding_work.tracked)));
    BOOST_TEST((any_io_executor(ex) == any_io_executor(ctx.get_executor())));
    BOOST_TEST((any_io_executor(ex) != any_io_executor(second.get_executor())));
    BOOST_TEST((any_io_executor(ex) != any_io_executor(asio::require(ex, rung::priority::high))));
}

BOOST_AUTO_TEST_CASE(type_erasure_and_properties_do_not_allocate) {
    rung::io_context ctx;
    executor ex = ctx.get_executor();
    using poly =
        execution::any_executor<execution::context_as_t<asio::execution_context&>,
                                execution::blocking_t::never_t,
                                execution::prefer_only<execution::relationship_t::continuation_t>,
                                execution::prefer_only<execution::outstanding_work_t::tracked_t>>;
    const std::uint64_t before = test::allocations();
    {
        const any_io_executor any = asio::require(ex, rung::priority::high);
        const any_io_executor copy = any;
        const any_io_executor tracked = asio::prefer(copy, execution::outstanding_work.tracked);
        const any_io_executor never = asio::require(tracked, execution::blocking.never);
        const any_io_executor low = rung::with_priority(never, rung::priority::low);
        const poly other(ex);
        const poly continued = asio::prefer(other, execution::relationship.continuation);
        const poly counted = asio::prefer(continued, execution::outstanding_work.tracked);
        const executor* const inside = low.target<executor>();
        ex = inside != nullptr ? *inside : ex;
    }
    BOOST_TEST(test::allocations() == before);
    BOOST_TEST((asio::query(ex, rung::priority()) == rung::priority::low));
    BOOST_TEST((asio::query(ex, execution::blocking) == execution::blocking.never));
}

BOOST_AUTO_TEST_CASE(tracked_executors_are_work_for_as_long_as_one_copy_lives) {
    rung::io_context ctx;
    BOOST_TEST(!has_work(ctx));
    {
        const executor plain = ctx.get_executor();
        BOOST_TEST(!has_work(ctx));
        executor tracked = asio::require(plain, execution::outstanding_work.tracked);
        BOOST_TEST(has_work(ctx));
        {
            const executor copy = tracked;
            const executor taken = std::move(tracked);
            BOOST_TEST(has_work(ctx));
        }
        BOOST_TEST(!has_work(ctx));
    }
    {
        executor a = asio::require(ctx.get_executor(), execution::outstanding_work.tracked);
        executor b = a;
        a = b;
        executor& alias = a;
        a = alias;
        a = std::move(alias);
        std::swap(a, b);
        BOOST_TEST(has_work(ctx));
        a = ctx.get_executor();
        BOOST_TEST(has_work(ctx));
        b = asio::require(b, execution::outstanding_work.untracked);
        BOOST_TEST(!has_work(ctx));
    }
    {
        any_io_executor any =
            asio::prefer(any_io_executor(ctx.get_executor()), execution::outstanding_work.tracked);
        const any_io_executor copy = any;
        any = any_io_executor();
        BOOST_TEST(has_work(ctx));
    }
    BOOST_TEST(!has_work(ctx));
}

BOOST_AUTO_TEST_CASE(assignment_moves_the_work_to_the_other_context) {
    rung::io_context from;
    rung::io_context to;
    executor ex = asio::require(from.get_executor(), execution::outstanding_work.tracked);
    ex = asio::require(to.get_executor(), execution::outstanding_work.tracked);
    BOOST_TEST(!has_work(from));
    BOOST_TEST(has_work(to));
}

BOOST_AUTO_TEST_CASE(tracked_copies_may_be_made_and_dropped_on_any_thread) {
    constexpr int threads = 4;
    constexpr int rounds = 5'000;
    rung::io_context ctx;
    std::vector<std::thread> others;
    {
        const executor tracked =
            asio::require(ctx.get_executor(), execution::outstanding_work.tracked);
        for (int i = 0; i < threads; ++i) {
            others.emplace_back([&ctx, mine = tracked] {
                std::vector<executor> copies;
                for (int r = 0; r < rounds; ++r) {
                    copies.push_back(mine);
                    executor moved = std::move(copies.front());
                    copies.erase(copies.begin());
                    if (r % 64 == 0) {
                        // Made here, dropped on the loop's thread.
                        asio::post(ctx, [moved = std::move(moved)] {});
                    }
                }
            });
        }
        // Made on the loop's thread, dropped on others.
        for (int i = 0; i < threads; ++i) {
            asio::post(ctx, [&, ex = ctx.get_executor()] {
                others.emplace_back(
                    [mine = asio::require(ex, execution::outstanding_work.tracked)] {});
            });
        }
    }
    ctx.run_for(std::chrono::seconds(20));
    BOOST_TEST(ctx.stopped());
    for (std::thread& t : others) {
        t.join();
    }
    BOOST_TEST(!has_work(ctx));
}

BOOST_AUTO_TEST_CASE(the_older_members_work_as_the_newer_ones_do) {
    rung::io_context ctx;
    const executor ex = ctx.get_executor();
    const std::allocator<void> a;
    BOOST_TEST(&ex.context() == &ctx);
    ex.on_work_started();
    BOOST_TEST(has_work(ctx));
    ex.on_work_finished();
    BOOST_TEST(!has_work(ctx));
    std::vector<int> order;
    ctx.restart();
    ex.dispatch([&] { order.push_back(1); }, a);  // outside the loop: as post
    BOOST_TEST(order.empty());
    ex.post(
        [&] {
            ex.post([&] { order.push_back(3); }, a);
            ex.defer([&] { order.push_back(4); }, a);
            ex.dispatch([&] { order.push_back(2); }, a);
        },
        a);
    BOOST_TEST(ctx.run() == 4U);
    BOOST_TEST(order == (std::vector<int>{1, 2, 3, 4}), boost::test_tools::per_element());

    // The wrapper that erases the older interface.
    ctx.restart();
    const asio::executor erased = ex;
    auto guard = asio::make_work_guard(erased);
    BOOST_TEST(has_work(ctx));
    asio::post(erased, [&] { guard.reset(); });
    BOOST_TEST(ctx.run() == 1U);
}

BOOST_AUTO_TEST_CASE(a_handler_bound_to_an_executor_of_the_older_style_runs_there) {
    rung::io_context ctx;
    asio::io_context rival;
    bool ran = false;
    asio::steady_timer::rebind_executor<executor>::other timer(ctx, std::chrono::seconds(0));
    timer.async_wait(asio::bind_executor(older_executor{&rival}, [&](auto) { ran = true; }));
    BOOST_TEST(ctx.run() == 1U);
    BOOST_TEST(!ran);
    rival.run();
    BOOST_TEST(ran);
}
