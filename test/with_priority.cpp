#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <rung/rung.hpp>
#include <type_traits>
#include <utility>

namespace asio = boost::asio;
namespace execution = boost::asio::execution;
using asio::any_io_executor;
using asio::strand;
using rung::executor;
using stock = asio::io_context::executor_type;

// Stock executors know nothing of priorities: asking is refused, preferring changes nothing.
static_assert(!asio::can_require<stock, rung::priority>::value);
static_assert(!asio::can_query<stock, rung::priority>::value);
template <class Executor>
constexpr bool indifferent = std::is_same_v<
    decltype(rung::with_priority(std::declval<const Executor&>(), rung::priority::high)),
    Executor>&& std::
    is_same_v<std::decay_t<typename asio::prefer_result<const Executor&, rung::io_priority>::type>,
              Executor>;

static_assert(indifferent<stock>);
static_assert(indifferent<strand<stock>>);
static_assert(indifferent<any_io_executor>);
static_assert(indifferent<strand<any_io_executor>>);
static_assert(indifferent<asio::system_executor>);
static_assert(indifferent<asio::thread_pool::executor_type>);
static_assert(indifferent<executor>);
static_assert(indifferent<strand<executor>>);

namespace {

/// The priority of the executor of ours that `ex` holds.
rung::priority priority_inside(const any_io_executor& ex) {
    BOOST_TEST_REQUIRE(ex.target<executor>() != nullptr);
    return asio::query(*ex.target<executor>(), rung::priority());
}

}  // namespace

BOOST_AUTO_TEST_CASE(priorities_survive_inside_any_io_executor) {
    rung::io_context ctx;
    const any_io_executor any = asio::require(ctx.get_executor(), rung::priority::high);
    BOOST_TEST((priority_inside(any) == rung::priority::high));
    BOOST_TEST(
        (priority_inside(asio::require(any, execution::blocking.never)) == rung::priority::high));
    BOOST_TEST((priority_inside(asio::prefer(any, execution::relationship.continuation)) ==
                rung::priority::high));
    BOOST_TEST((priority_inside(asio::prefer(any, execution::outstanding_work.tracked)) ==
                rung::priority::high));
    BOOST_TEST(&asio::query(any, execution::context) == &ctx);
    BOOST_TEST((asio::query(any, execution::blocking) == execution::blocking.possibly));
    BOOST_TEST((asio::query(any, execution::mapping) == execution::mapping.thread));
}

BOOST_AUTO_TEST_CASE(with_priority_reaches_through_strands_and_type_erasure) {
    rung::io_context ctx;
    const executor ex = ctx.get_executor();
    const rung::priority high = rung::priority::high;
    BOOST_TEST((asio::query(rung::with_priority(ex, high), rung::priority()) == high));
    BOOST_TEST((priority_inside(rung::with_priority(any_io_executor(ex), high)) == high));

    const auto direct = asio::make_strand(ex);
    const auto urgent = rung::with_priority(direct, high);
    BOOST_TEST((asio::query(urgent.get_inner_executor(), rung::priority()) == high));
    BOOST_TEST((asio::query(urgent, rung::priority()) == high));
    BOOST_TEST((urgent == direct));  // still the one strand

    const auto erased_inside = asio::make_strand(any_io_executor(ex));
    const auto urgent_erased_inside = rung::with_priority(erased_inside, high);
    BOOST_TEST((priority_inside(urgent_erased_inside.get_inner_executor()) == high));
    BOOST_TEST((urgent_erased_inside == erased_inside));

    const any_io_executor around = rung::with_priority(any_io_executor(direct), high);
    const auto* const held = around.target<strand<executor>>();
    BOOST_TEST_REQUIRE(held != nullptr);
    BOOST_TEST((asio::query(held->get_inner_executor(), rung::priority()) == high));
    BOOST_TEST((*held == direct));

    const any_io_executor twice = rung::with_priority(any_io_executor(erased_inside), high);
    const auto* const held_twice = twice.target<strand<any_io_executor>>();
    BOOST_TEST_REQUIRE(held_twice != nullptr);
    BOOST_TEST((priority_inside(held_twice->get_inner_executor()) == high));
}

BOOST_AUTO_TEST_CASE(the_property_of_io_reaches_as_far_as_that_of_handlers) {
    rung::io_context ctx;
    const executor ex = ctx.get_executor();
    const rung::io_priority low = rung::io_priority::low;
    const any_io_executor any = asio::prefer(any_io_executor(ex), low);
    BOOST_TEST_REQUIRE(any.target<executor>() != nullptr);
    BOOST_TEST((asio::query(*any.target<executor>(), rung::io_priority()) == low));
    const any_io_executor around = asio::prefer(any_io_executor(asio::make_strand(ex)), low);
    const auto* const held = around.target<strand<executor>>();
    BOOST_TEST_REQUIRE(held != nullptr);
    BOOST_TEST((asio::query(held->get_inner_executor(), rung::io_priority()) == low));
    BOOST_TEST(
        (asio::query(held->get_inner_executor(), rung::priority()) == rung::priority::normal));
}

BOOST_AUTO_TEST_CASE(with_priority_leaves_other_executors_as_they_are) {
    asio::io_context rival;
    asio::thread_pool pool(1);
    const rung::priority high = rung::priority::high;
    const auto check = [&](const auto& ex) { BOOST_TEST((rung::with_priority(ex, high) == ex)); };
    check(rival.get_executor());
    check(asio::make_strand(rival));
    check(asio::system_executor());
    check(pool.get_executor());
    check(any_io_executor(rival.get_executor()));
    check(any_io_executor(asio::make_strand(rival)));
    check(any_io_executor());
    pool.join();
}
