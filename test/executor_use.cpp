// What programs ask of a context's executor, in the words of Asio's documentation: the same source on
// stock and on ours.

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "contexts.hpp"

namespace asio = boost::asio;
namespace execution = asio::execution;
using boost::system::error_code;
using boost::test_tools::per_element;

namespace {

template <class Context>
using executor_of = typename Context::executor_type;

/// An executor type of a program's own.
using narrow_executor =
    execution::any_executor<execution::context_as_t<asio::execution_context&>,
                            execution::blocking_t::never_t,
                            execution::prefer_only<execution::blocking_t::possibly_t>,
                            execution::prefer_only<execution::outstanding_work_t::tracked_t>,
                            execution::prefer_only<execution::outstanding_work_t::untracked_t>,
                            execution::prefer_only<execution::relationship_t::fork_t>,
                            execution::prefer_only<execution::relationship_t::continuation_t>>;

template <class Ex>
constexpr bool has_asios_properties =
    execution::is_executor<Ex>::value&&
        asio::can_require<Ex, execution::blocking_t::never_t>::value&&
            asio::can_require<Ex, execution::blocking_t::possibly_t>::value &&
    !asio::can_require<Ex, execution::blocking_t::always_t>::value &&
    !asio::can_prefer<Ex, execution::blocking_t::always_t>::value &&
    asio::can_require<Ex, execution::outstanding_work_t::tracked_t>::value &&
    asio::can_require<Ex, execution::outstanding_work_t::untracked_t>::value &&
    asio::can_require<Ex, execution::relationship_t::fork_t>::value &&
    asio::can_require<Ex, execution::relationship_t::continuation_t>::value &&
    asio::can_require<Ex, execution::allocator_t<std::allocator<int>>>::value &&
    asio::can_query<Ex, execution::blocking_t>::value &&
    asio::can_query<Ex, execution::mapping_t>::value &&
    asio::can_query<Ex, execution::context_t>::value &&
    asio::can_query<Ex, execution::allocator_t<void>>::value &&
    execution::mapping_t::static_query_v<Ex> == execution::mapping.thread &&
    std::is_nothrow_copy_constructible_v<Ex> && std::is_nothrow_move_constructible_v<Ex> &&
    std::is_nothrow_copy_assignable_v<Ex> && std::is_nothrow_move_assignable_v<Ex>;

static_assert(has_asios_properties<asio::io_context::executor_type>);
static_assert(has_asios_properties<rung::io_context::executor_type>);
static_assert(has_asios_properties<asio::io_context::basic_executor_type<std::allocator<int>, 0>>);
static_assert(has_asios_properties<rung::io_context::basic_executor_type<std::allocator<int>, 0>>);

}  // namespace

BOOST_AUTO_TEST_SUITE(executor_use)

BOOST_AUTO_TEST_CASE_TEMPLATE(executors_are_compared_and_name_their_context, Context,
                              test::shared_contexts) {
    Context context;
    Context another;
    executor_of<Context> ex = context.get_executor();
    BOOST_TEST((ex == context.get_executor()));
    BOOST_TEST((ex != another.get_executor()));
    BOOST_TEST((ex != asio::require(ex, execution::blocking.never)));
    BOOST_TEST((ex == asio::require(ex, execution::blocking.never, execution::blocking.possibly)));
    ex = another.get_executor();
    BOOST_TEST((ex == another.get_executor()));

    Context& by_type = asio::query(ex, execution::context);
    asio::execution_context& as_base =
        asio::query(ex, execution::context_as<asio::execution_context&>);
    BOOST_TEST(&by_type == &another);
    BOOST_TEST(&as_base == &another);
    BOOST_TEST(&ex.context() == &another);
    const asio::any_io_executor any = ex;
    BOOST_TEST(&any.context() == &another);
    BOOST_TEST((any == asio::any_io_executor(another.get_executor())));
    BOOST_TEST((*any.template target<executor_of<Context>>() == ex));
    BOOST_TEST((any.target_type() == typeid(ex)));
    BOOST_TEST(!asio::any_io_executor());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(properties_are_required_preferred_and_queried, Context,
                              test::shared_contexts) {
    Context context;
    const executor_of<Context> ex = context.get_executor();
    const auto quiet =
        asio::require(ex, execution::blocking.never, execution::relationship.continuation);
    static_assert(std::is_same_v<std::remove_cv_t<decltype(quiet)>, executor_of<Context>>);
    BOOST_TEST((asio::query(quiet, execution::blocking) == execution::blocking.never));
    BOOST_TEST(
        (asio::query(quiet, execution::relationship) == execution::relationship.continuation));
    BOOST_TEST((asio::query(ex, execution::blocking) == execution::blocking.possibly));
    BOOST_TEST((asio::query(ex, execution::mapping) == execution::mapping.thread));
    BOOST_TEST(
        (asio::query(ex, execution::outstanding_work) == execution::outstanding_work.untracked));
    const auto preferred = asio::prefer(ex, execution::blocking.never, execution::mapping.thread);
    BOOST_TEST((preferred == asio::require(ex, execution::blocking.never)));
    {
        const auto tracked = asio::require(ex, execution::outstanding_work.tracked);
        BOOST_TEST((asio::query(tracked, execution::outstanding_work) ==
                    execution::outstanding_work.tracked));
        BOOST_TEST(context.poll() == 0U);
        BOOST_TEST(!context.stopped());
    }
    BOOST_TEST(context.poll() == 0U);
    BOOST_TEST(context.stopped());

    int ran = 0;
    const typename Context::template basic_executor_type<std::allocator<int>, 0> allocating =
        asio::require(ex, execution::allocator(std::allocator<int>()));
    BOOST_TEST((asio::query(allocating, execution::allocator) == std::allocator<int>()));
    allocating.execute([&] { ++ran; });
    allocating.post([&] { ++ran; }, std::allocator<void>());
    BOOST_TEST(&allocating.context() == &context);
    BOOST_TEST(!allocating.running_in_this_thread());
    context.restart();
    BOOST_TEST(context.run() == 2U);
    BOOST_TEST(ran == 2);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_type_erasing_executor_of_the_programs_own_takes_it, Context,
                              test::shared_contexts) {
    Context context;
    narrow_executor ex(asio::require(context.get_executor(), execution::blocking.never));
    BOOST_TEST(&asio::query(ex, execution::context_as<asio::execution_context&>) == &context);
    std::vector<int> ran;
    ex.execute([&] {
        ran.push_back(1);
        ex.execute([&] { ran.push_back(3); });
        asio::prefer(ex, execution::blocking.possibly).execute([&] { ran.push_back(2); });
    });
    asio::post(asio::bind_executor(ex, [&] { ran.push_back(4); }));
    context.run();
    std::sort(ran.begin() + 2, ran.end());
    BOOST_TEST(ran == (std::vector<int>{1, 2, 3, 4}), per_element());
    ex = narrow_executor();
    BOOST_TEST(!ex);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_go_to_the_executor_they_are_bound_to, Context,
                              test::shared_contexts) {
    Context context;
    Context other;
    const auto strand = asio::make_strand(other);
    int here = 0;
    int there = 0;
    auto bound = asio::bind_executor(other, [&] {
        ++there;
        BOOST_TEST(other.get_executor().running_in_this_thread());
    });
    BOOST_TEST((asio::get_associated_executor(bound, context) == other.get_executor()));
    BOOST_TEST((asio::get_associated_executor([] {}, context.get_executor()) ==
                context.get_executor()));
    using plain = void (*)();
    BOOST_TEST((asio::associated_executor<plain, executor_of<Context>>::get(
                    nullptr, context.get_executor()) == context.get_executor()));
    asio::post(context, bound);
    asio::dispatch(context, asio::bind_executor(strand, [&] {
                       ++there;
                       BOOST_TEST(strand.running_in_this_thread());
                   }));
    asio::defer(context, asio::bind_executor(asio::system_executor(), [&] {
                    ++here;
                    BOOST_TEST(context.get_executor().running_in_this_thread());
                }));
    test::timer_of<Context> timer(context, std::chrono::milliseconds(1));
    timer.async_wait(asio::bind_executor(other, [&](error_code) { ++there; }));
    asio::post(asio::system_executor(), asio::bind_executor(context, [&] { ++here; }));
    while (there < 3 || here < 2) {
        context.restart();
        other.restart();
        context.run_for(std::chrono::milliseconds(5));
        other.run_for(std::chrono::milliseconds(5));
    }
    BOOST_TEST(there == 3);
    BOOST_TEST(here == 2);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(work_guards_of_contexts_executors_and_objects, Context,
                              test::shared_contexts) {
    Context context;
    asio::executor_work_guard<executor_of<Context>> first(context.get_executor());
    auto second = asio::make_work_guard(context);
    auto third = asio::make_work_guard(asio::bind_executor(context, [] {}), context);
    BOOST_TEST((first.get_executor() == second.get_executor()));
    asio::post(context, [&] {
        first.reset();
        second.reset();
        third.reset();
    });
    BOOST_TEST(context.run() == 1U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(composed_and_initiated_operations_take_the_context, Context,
                              test::shared_contexts) {
    Context context;
    test::timer_of<Context> timer(context);
    int steps = 0;
    const auto twice = [&](auto&& token) {
        return asio::async_compose<decltype(token), void(error_code)>(
            [&](auto& self, error_code ec = {}) {
                if (++steps == 3) {
                    self.complete(ec);
                } else {
                    timer.expires_after(std::chrono::milliseconds(1));
                    timer.async_wait(std::move(self));
                }
            },
            token, timer, context, context.get_executor());
    };
    int done = 0;
    twice([&](error_code ec) { done += ec ? 100 : 1; });
    context.run();
    steps = 0;
    auto future = twice(asio::use_future);
    context.restart();
    context.run();
    future.get();
    BOOST_TEST(done == 1);
    static_assert(asio::uses_executor<std::promise<int>, executor_of<Context>>::value ==
                  asio::uses_executor<std::promise<int>, asio::io_context::executor_type>::value);
}

#if BOOST_VERSION < 108400 && !defined(BOOST_ASIO_NO_DEPRECATED)

BOOST_AUTO_TEST_CASE_TEMPLATE(the_older_customisation_points_accept_it, Context,
                              test::shared_contexts) {
    Context context;
    int ran = 0;
    execution::execute(context.get_executor(), [&] { ++ran; });
    static_assert(asio::is_executor<executor_of<Context>>::value ==
                  asio::is_executor<asio::io_context::executor_type>::value);
    BOOST_TEST(context.run() == 1U);
    BOOST_TEST(ran == 1);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
