// Every operation, with each of its endings, awaited by coroutines.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "endings.hpp"

using namespace test;

namespace {

/// Runs `body`, a coroutine that awaits the operation and gives the code that it ended with.
template <class Loop, class Operation, class Body>
void check_coroutine(Loop& loop, Operation& operation, Body body) {
    auto future = asio::co_spawn(loop.executor(), body, asio::use_future);
    loop.poll();
    operation.cause();
    loop.run();
    BOOST_REQUIRE((future.wait_for(std::chrono::seconds(0)) == std::future_status::ready));
    BOOST_TEST(operation.expects(future.get()));
}

RUNG_RIVAL_CASE(an_awaited_operation_gives_its_value_or_throws) {
    for_each_ending(loop, [&](auto& operation) {
        check_coroutine(loop, operation, [&]() -> asio::awaitable<error_code> {
            try {
                co_await operation.start(asio::use_awaitable);
            } catch (const boost::system::system_error& e) {
                co_return e.code();
            }
            co_return error_code();
        });
    });
}

RUNG_RIVAL_CASE(an_awaited_tuple_holds_the_code) {
    for_each_ending(loop, [&](auto& operation) {
        check_coroutine(loop, operation, [&]() -> asio::awaitable<error_code> {
            const auto result = co_await operation.start(asio::as_tuple(asio::use_awaitable));
            co_return std::get<0>(result);
        });
    });
}

RUNG_RIVAL_CASE(an_awaited_operation_may_redirect_its_error) {
    for_each_ending(loop, [&](auto& operation) {
        check_coroutine(loop, operation, [&]() -> asio::awaitable<error_code> {
            error_code ec;
            co_await operation.start(asio::redirect_error(asio::use_awaitable, ec));
            co_return ec;
        });
    });
}

RUNG_RIVAL_CASE(coroutines_of_the_contexts_own_executor_type_await_too) {
    using executor = typename Loop::executor_type;
    constexpr asio::use_awaitable_t<executor> token;
    for_each_ending(loop, [&](auto& operation) {
        check_coroutine(loop, operation, [&]() -> asio::awaitable<error_code, executor> {
            const auto result = co_await operation.start(asio::as_tuple(token));
            co_return std::get<0>(result);
        });
    });
}

RUNG_RIVAL_CASE(coroutines_in_a_strand_stay_in_it) {
    const auto strand = asio::make_strand(loop.executor());
    for_each_ending(loop, [&](auto& operation) {
        bool inside = false;
        error_code seen;
        auto future = asio::co_spawn(
            strand,
            [&]() -> asio::awaitable<void> {
                const auto result = co_await operation.start(asio::as_tuple(asio::use_awaitable));
                seen = std::get<0>(result);
                inside = strand.running_in_this_thread();
            },
            asio::use_future);
        loop.poll();
        operation.cause();
        loop.run();
        future.get();
        BOOST_TEST(operation.expects(seen));
        BOOST_TEST(inside);
    });
}

RUNG_RIVAL_CASE(coroutines_on_a_stock_context_await_operations_of_this_one) {
    asio::io_context other;
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::thread::id resumed_on;
        auto future = asio::co_spawn(
            other,
            [&]() -> asio::awaitable<void> {
                const auto result = co_await operation.start(asio::as_tuple(asio::use_awaitable));
                seen = std::get<0>(result);
                resumed_on = std::this_thread::get_id();
            },
            asio::use_future);
        other.restart();
        other.poll();  // starts the operation from outside of its loop
        auto work = asio::make_work_guard(loop.context());
        background elsewhere(other, [&] { work.reset(); });
        const auto id = elsewhere.id();
        operation.cause();
        loop.run();
        elsewhere.join();
        future.get();
        BOOST_TEST(operation.expects(seen));
        BOOST_TEST((resumed_on == id));
    });
}

RUNG_RIVAL_CASE(a_deferred_operation_can_be_awaited) {
    for_each_ending(loop, [&](auto& operation) {
        check_coroutine(loop, operation, [&]() -> asio::awaitable<error_code> {
            const auto result =
                co_await operation.start(asio::deferred)(asio::as_tuple(asio::use_awaitable));
            co_return std::get<0>(result);
        });
    });
}

}  // namespace
