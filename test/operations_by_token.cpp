// Every operation, with each of its endings, by every completion token but those of coroutines.

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <stdexcept>

#include "endings.hpp"

using namespace test;

namespace {

/// A handler of any operation.
auto code_into(error_code& seen, std::atomic<int>& calls) {
    return [&](error_code ec, auto&&...) {
        seen = ec;
        ++calls;
    };
}

RUNG_RIVAL_CASE(a_callback_is_called_once) {
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::atomic<int> calls{0};
        operation.start(code_into(seen, calls));
        loop.poll();
        operation.cause();
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(a_callback_of_what_ends_before_it_reaches_the_kernel_is_called_once) {
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::atomic<int> calls{0};
        operation.start(code_into(seen, calls));
        operation.cause();
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(a_future_gets_the_value_or_throws) {
    for_each_ending(loop, [&](auto& operation) {
        auto future = operation.start(asio::use_future);
        loop.poll();
        operation.cause();
        loop.run();
        BOOST_TEST((future.wait_for(std::chrono::seconds(0)) == std::future_status::ready));
        BOOST_TEST(operation.expects(thrown_by([&] { future.get(); })));
    });
}

RUNG_RIVAL_CASE(a_callback_may_take_a_tuple) {
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::atomic<int> calls{0};
        operation.start(
            asio::as_tuple([&](auto result) { code_into(seen, calls)(std::get<0>(result)); }));
        operation.cause();
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(a_thread_outside_the_loop_may_start_and_await_a_future) {
    auto work = asio::make_work_guard(loop.context());
    std::thread outside([&] {
        for_each_ending(loop, [&](auto& operation) {
            auto future = operation.start(asio::use_future);
            operation.cause();
            BOOST_TEST((future.wait_for(std::chrono::seconds(10)) == std::future_status::ready));
            BOOST_TEST(operation.expects(thrown_by([&] { future.get(); })));
        });
        work.reset();
    });
    loop.run();
    outside.join();
}

RUNG_RIVAL_CASE(a_deferred_operation_begins_when_it_is_called) {
    for_each_ending(loop, [&](auto& operation) {
        auto deferred = operation.start(asio::deferred);
        BOOST_TEST(loop.context().poll() == 0U);
        error_code seen;
        std::atomic<int> calls{0};
        std::move(deferred)(code_into(seen, calls));
        loop.poll();
        operation.cause();
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(a_detached_operation_ends_unseen) {
    for_each_ending(loop, [&](auto& operation) {
        operation.start(asio::detached);
        loop.poll();
        operation.cause();
        loop.run();  // returns, so that it has ended
    });
}

RUNG_RIVAL_CASE(a_handler_bound_to_a_strand_runs_in_it) {
    const auto strand = asio::make_strand(loop.executor());
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::atomic<int> calls{0};
        bool inside = false;
        operation.start(asio::bind_executor(strand, [&](error_code ec, auto&&...) {
            inside = strand.running_in_this_thread();
            code_into(seen, calls)(ec);
        }));
        loop.poll();
        operation.cause();
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(inside);
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(a_handler_bound_to_an_erased_executor_runs_there) {
    const asio::any_io_executor plain = loop.executor();
    const asio::any_io_executor strand = asio::make_strand(loop.executor());
    for (const asio::any_io_executor& ex : {plain, strand}) {
        for_each_ending(loop, [&](auto& operation) {
            error_code seen;
            std::atomic<int> calls{0};
            operation.start(asio::bind_executor(ex, code_into(seen, calls)));
            loop.poll();
            operation.cause();
            loop.run();
            BOOST_TEST(calls == 1);
            BOOST_TEST(operation.expects(seen));
        });
    }
}

/// Binds handlers to another context, which must wait for them and run them.
template <class Loop, class Context>
void check_other_context(Loop& loop, Context& other) {
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::atomic<int> calls{0};
        std::thread::id ran_on;
        operation.start(asio::bind_executor(other.get_executor(), [&](error_code ec, auto&&...) {
            ran_on = std::this_thread::get_id();
            code_into(seen, calls)(ec);
        }));
        // A composed operation goes to and fro between the two, so both run until it has ended.
        auto work = asio::make_work_guard(loop.context());
        background elsewhere(other, [&] { work.reset(); });
        const auto id = elsewhere.id();
        loop.poll();
        operation.cause();
        loop.run();
        elsewhere.join();
        BOOST_TEST(calls == 1);
        BOOST_TEST((ran_on == id));
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(a_handler_bound_to_a_stock_context_runs_there) {
    asio::io_context other;
    check_other_context(loop, other);
}

RUNG_RIVAL_CASE(a_handler_bound_to_another_context_of_ours_runs_there) {
    rung::io_context other;
    check_other_context(loop, other);
}

RUNG_RIVAL_CASE(a_handler_may_be_move_only_and_of_any_size) {
    for_each_ending(loop, [&](auto& operation) {
        error_code seen;
        std::atomic<int> calls{0};
        std::array<char, 10'000> much{};
        operation.start([&, much, only = std::make_unique<int>(1)](error_code ec, auto&&...) {
            code_into(seen, calls)(ec);
            calls += *only + much[9'999] - 1;
        });
        operation.cause();
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(operation.expects(seen));
    });
}

RUNG_RIVAL_CASE(an_exception_of_a_handler_leaves_run_and_the_rest_goes_on) {
    for_each_ending(loop, [&](auto& operation) {
        std::atomic<int> calls{0};
        operation.start([&](error_code, auto&&...) {
            ++calls;
            throw std::runtime_error("from a handler");
        });
        typename Loop::timer later(loop.context(), std::chrono::milliseconds(1));
        outcome o;
        later.async_wait(into(o));
        operation.cause();
        const watchdog guard([&] { loop.context().stop(); });
        loop.context().restart();
        BOOST_CHECK_THROW(
            while (loop.context().run_one() != 0) { BOOST_TEST(calls == 0); }, std::runtime_error);
        BOOST_TEST(calls == 1);
        loop.run();
        BOOST_TEST(calls == 1);
        BOOST_TEST(o == done());
    });
}

}  // namespace
