// Watching by callback: where callbacks run, what they are told, and how watching ends.

#include "allocations.hpp"

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "called_once.hpp"
#include "contexts.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;
using rung::make_operation;

namespace {

using change_list = std::vector<std::pair<state, int>>;

BOOST_AUTO_TEST_CASE(a_handler_without_executor_runs_inside_the_producers_call) {
    auto [source, op] = make_operation<int>();
    int seen = 0;
    op.async_wait(once([&](error_code ec, int value) {
        BOOST_TEST(ec == no_error);
        seen = value;
    }));
    source.set_running();
    BOOST_TEST(seen == 0);
    source.set_done(5);
    BOOST_TEST(seen == 5);
}

BOOST_AUTO_TEST_CASE(a_handler_without_executor_runs_at_once_after_the_end) {
    auto [source, op] = make_operation<int>();
    source.set_done(5);
    int seen = 0;
    op.async_wait(once([&](error_code, int value) { seen = value; }));
    BOOST_TEST(seen == 5);
}

BOOST_AUTO_TEST_CASE(several_watchers_get_the_value_each_in_their_order) {
    auto [source, op] = make_operation<std::string>();
    std::vector<std::string> seen;
    for (const char* const name : {"a", "b", "c"}) {
        op.async_wait(once([&seen, name](error_code, std::string v) { seen.push_back(name + v); }));
    }
    source.set_done("!");
    BOOST_TEST(seen == (std::vector<std::string>{"a!", "b!", "c!"}),
               boost::test_tools::per_element());
    BOOST_TEST(op.get() == "!");
}

BOOST_AUTO_TEST_CASE(each_end_has_its_error_code) {
    const auto code_at = [](auto finish) {
        auto [source, op] = make_operation<int>();
        error_code seen;
        op.async_wait(once([&](error_code ec, int) { seen = ec; }));
        finish(source);
        return seen;
    };
    BOOST_TEST(code_at([](auto& s) { s.set_done(1); }) == no_error);
    BOOST_TEST(code_at([](auto& s) { s.set_failed(refused); }) == refused);
    BOOST_TEST(code_at([](auto& s) { s.set_cancelled(timed_out); }) == aborted);
    BOOST_TEST(code_at([](auto& s) { s = {}; }) == abandoned);
}

BOOST_AUTO_TEST_CASE(a_failed_operation_may_give_what_it_had) {
    auto [source, op] = make_operation<std::size_t>();
    source.set_failed(asio::error::eof, 7U);
    op.async_wait(once([](error_code ec, std::size_t n) {
        BOOST_TEST(ec == error_code(asio::error::eof));
        BOOST_TEST(n == 7U);
    }));
}

BOOST_AUTO_TEST_CASE(a_value_without_default_constructor_comes_as_an_optional) {
    struct named {
        explicit named(int i) : value(i) {}
        int value;
    };
    auto [source, op] = make_operation<named>();
    op.async_wait(once([](error_code, std::optional<named> v) { BOOST_TEST(v->value == 3); }));
    source.set_done(3);
    auto [failing, failed] = make_operation<named>();
    failed.async_wait(once([](error_code, std::optional<named> v) { BOOST_TEST(!v); }));
    failing.set_failed(refused);
}

BOOST_AUTO_TEST_CASE(a_value_that_only_moves_is_handed_over) {
    auto [source, op] = make_operation<std::unique_ptr<int>>();
    op.async_wait(once([](error_code, std::unique_ptr<int> v) { BOOST_TEST(*v == 3); }));
    source.set_done(std::make_unique<int>(3));
}

BOOST_AUTO_TEST_CASE(watching_outlives_the_operation) {
    auto [source, op] = make_operation<int>();
    op.async_wait(once([](error_code ec, int v) { BOOST_TEST((!ec && v == 4)); }));
    op = {};
    source.set_done(4);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handler_runs_on_its_executor_and_keeps_it_at_work, Context,
                              contexts) {
    Context ctx;
    for (const bool erased : {false, true}) {
        for (const bool ended : {false, true}) {
            auto [source, op] = make_operation<int>();
            if (ended) {
                source.set_done(6);
            }
            bool called = false;
            const auto handler = [&](error_code, int v) {
                called = true;
                BOOST_TEST(ctx.get_executor().running_in_this_thread());
                BOOST_TEST(v == 6);
            };
            if (erased) {
                op.async_wait(
                    asio::bind_executor(asio::any_io_executor(ctx.get_executor()), once(handler)));
            } else {
                op.async_wait(asio::bind_executor(ctx.get_executor(), once(handler)));
            }
            if (!ended) {
                BOOST_TEST(ctx.poll() == 0U);
                BOOST_TEST(!ctx.stopped());
                source.set_done(6);
            }
            BOOST_TEST(!called);
            ctx.run();
            BOOST_TEST(called);
            ctx.restart();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_handler_may_run_in_a_strand_or_in_a_pool) {
    asio::thread_pool pool(2);
    auto strand = asio::make_strand(pool.get_executor());
    auto [source, op] = make_operation();
    std::atomic<int> calls{0};
    op.async_wait(asio::bind_executor(
        strand, [&](error_code) { calls += strand.running_in_this_thread() ? 1 : 100; }));
    op.async_wait(asio::bind_executor(pool, [&](error_code) {
        calls += pool.get_executor().running_in_this_thread() ? 10 : 100;
    }));
    source.set_done();
    pool.join();
    BOOST_TEST(calls == 11);
}

BOOST_AUTO_TEST_CASE(a_handler_runs_at_the_priority_of_its_executor) {
    rung::io_context ctx;
    auto [source, op] = make_operation();
    std::string order;
    const auto at = [&](rung::priority p, char name) {
        op.async_wait(asio::bind_executor(rung::with_priority(ctx.get_executor(), p),
                                          once([&, name](error_code) { order += name; })));
    };
    at(rung::priority::low, 'l');
    at(rung::priority::normal, 'n');
    at(rung::priority::high, 'h');
    source.set_done();
    ctx.run();
    BOOST_TEST(order == "hnl");
}

BOOST_AUTO_TEST_CASE(the_next_change_is_told_once) {
    auto [source, op] = make_operation<int, int>();
    std::vector<state> seen;
    const auto note = [&](state s) { seen.push_back(s); };
    op.async_next(once(note));
    source.set_running();
    source.set_running();
    BOOST_TEST(seen.size() == 1U);
    op.async_next(once(note));
    source.set_progress(1);
    op.async_next(once(note));
    source.set_done(1);
    op.async_next(once(note));  // of what has ended at once
    BOOST_TEST(
        seen == (std::vector<state>{state::running, state::running, state::done, state::done}),
        boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_change_that_came_before_is_not_missed) {
    auto [source, op] = make_operation<void, int>();
    const auto seen = op.changes();
    source.set_progress(1);
    int calls = 0;
    op.async_next(seen, once([&](state) { ++calls; }));
    BOOST_TEST(calls == 1);
    op.async_next(op.changes(), once([&](state) { ++calls; }));
    BOOST_TEST(calls == 1);
    source.set_progress(2);
    BOOST_TEST(calls == 2);
    source.set_done();
}

BOOST_AUTO_TEST_CASE(a_function_without_executor_sees_every_change_inline) {
    auto [source, op] = make_operation<void, int>();
    change_list seen;
    source.set_progress(1);
    op.watch([&](state s, int p) { seen.emplace_back(s, p); });
    source.set_progress(2);
    BOOST_TEST(seen.size() == 1U);
    source.set_running();
    source.set_progress(3);
    source.set_done();
    const change_list expected{
        {state::pending, 2}, {state::running, 2}, {state::running, 3}, {state::done, 3}};
    BOOST_TEST((seen == expected));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_function_on_an_executor_sees_the_latest, Context, contexts) {
    Context ctx;
    auto [source, op] = make_operation<void, int>();
    change_list seen;
    op.watch(asio::bind_executor(ctx, [&](state s, int p) { seen.emplace_back(s, p); }));
    source.set_progress(1);
    source.set_progress(2);
    ctx.poll();
    ctx.poll();
    source.set_running();
    source.set_progress(3);
    source.set_progress(4);
    source.set_done();
    BOOST_TEST(seen.size() == 1U);
    ctx.run();
    BOOST_TEST((seen == change_list{{state::pending, 2}, {state::done, 4}}));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_function_on_an_executor_may_see_each_change, Context, contexts) {
    Context ctx;
    auto [source, op] = make_operation<void, int>();
    change_list seen;
    op.watch(asio::bind_executor(ctx, [&](state s, int p) { seen.emplace_back(s, p); }),
             rung::delivery::each);
    source.set_progress(1);
    source.set_running();
    ctx.poll();
    source.set_progress(2);
    source.set_failed(refused);
    ctx.run();
    const change_list expected{
        {state::pending, 1}, {state::running, 1}, {state::running, 2}, {state::failed, 2}};
    BOOST_TEST((seen == expected));
}

BOOST_AUTO_TEST_CASE(a_function_that_comes_after_the_end_is_called_for_it) {
    rung::io_context ctx;
    auto [source, op] = make_operation();
    source.set_cancelled();
    int inline_calls = 0;
    op.watch([&](state s) { inline_calls += s == state::cancelled ? 1 : 100; });
    BOOST_TEST(inline_calls == 1);
    for (const auto how : {rung::delivery::latest, rung::delivery::each}) {
        int calls = 0;
        op.watch(
            asio::bind_executor(ctx, [&](state s) { calls += s == state::cancelled ? 1 : 100; }),
            how);
        ctx.run();
        ctx.restart();
        BOOST_TEST(calls == 1);
    }
}

BOOST_AUTO_TEST_CASE(an_exception_of_a_function_leaves_run_and_the_next_change_is_told) {
    rung::io_context ctx;
    auto [source, op] = make_operation();
    int calls = 0;
    op.watch(asio::bind_executor(ctx, [&](state) {
        if (++calls == 1) {
            throw std::runtime_error("from a function");
        }
    }));
    source.set_running();
    BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
    source.set_done();
    ctx.run();
    BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(a_slot_ends_the_waiting_and_not_the_operation) {
    auto [source, op] = make_operation<int>();
    asio::cancellation_signal first, second, third;
    error_code seen;
    state at{};
    op.async_wait(
        asio::bind_cancellation_slot(first.slot(), once([&](error_code ec, int) { seen = ec; })));
    op.async_next(asio::bind_cancellation_slot(second.slot(), once([&](state s) { at = s; })));
    op.watch(asio::bind_cancellation_slot(third.slot(), never()));
    source.cancel_requested();
    first.emit(asio::cancellation_type::partial);
    BOOST_TEST(seen == aborted);
    second.emit(asio::cancellation_type::total);
    third.emit(asio::cancellation_type::terminal);
    BOOST_TEST(at == state::pending);
    first.emit(asio::cancellation_type::terminal);
    BOOST_TEST(!source.cancel_requested());
    source.set_done(1);
    BOOST_TEST(op.get() == 1);
}

BOOST_AUTO_TEST_CASE(a_slot_whose_waiting_is_over_does_nothing) {
    rung::io_context ctx;
    auto [source, op] = make_operation<int>();
    asio::cancellation_signal signal;
    op.async_wait(asio::bind_cancellation_slot(
        signal.slot(),
        asio::bind_executor(ctx, once([](error_code ec, int) { BOOST_TEST(ec == no_error); }))));
    source.set_done(1);
    signal.emit(asio::cancellation_type::all);
    ctx.run();
    signal.emit(asio::cancellation_type::all);
}

BOOST_AUTO_TEST_CASE(a_signal_may_go_before_the_operation_ends) {
    auto [source, op] = make_operation();
    {
        asio::cancellation_signal signal;
        op.async_wait(asio::bind_cancellation_slot(signal.slot(), once()));
    }
    source.set_done();
}

BOOST_AUTO_TEST_CASE(a_context_that_goes_takes_its_watchers_along) {
    auto [source, op] = make_operation<int, int>();
    auto ctx = std::make_unique<rung::io_context>();
    op.async_wait(asio::bind_executor(*ctx, never()));
    op.watch(asio::bind_executor(*ctx, never()), rung::delivery::each);
    source.set_progress(1);
    source.set_done(1);
    ctx.reset();
    BOOST_TEST(op.get() == 1);
}

BOOST_AUTO_TEST_CASE(cancellation_may_be_called_back_on_an_executor) {
    rung::io_context ctx;
    auto [source, op] = make_operation();
    source.on_cancel(asio::bind_executor(ctx, [&source = source] { source.set_cancelled(); }));
    op.cancel();
    BOOST_TEST(op.state() == state::pending);
    ctx.run();
    BOOST_TEST(op.state() == state::cancelled);
    ctx.restart();

    auto [second, late] = make_operation();
    second.on_cancel(asio::bind_executor(ctx, never()));
    late.cancel();
    second.set_done();  // before the function's turn has come
    ctx.run();
    ctx.restart();

    auto [third, replaced] = make_operation();
    third.on_cancel(asio::bind_executor(ctx, never()));
    replaced.cancel();
    third.on_cancel(once());  // likewise
    ctx.run();
}

BOOST_AUTO_TEST_CASE(watching_allocates_nothing_in_steady_state) {
    rung::io_context ctx(1);
    BOOST_TEST(needs_no_new_memory([&] {
        auto [source, op] = make_operation<int, int>();
        int calls = 0;
        op.async_wait(asio::bind_executor(ctx, [&](error_code, int) { ++calls; }));
        op.async_next(asio::bind_executor(ctx, [&](state) { ++calls; }));
        op.watch(asio::bind_executor(ctx, [&](state, int) { ++calls; }), rung::delivery::each);
        source.set_running();
        source.set_progress(1);
        source.set_done(1);
        ctx.run();
        ctx.restart();
        BOOST_TEST_REQUIRE(calls == 5);
    }));
}

}  // namespace
