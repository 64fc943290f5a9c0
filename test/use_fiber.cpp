// Waiting in a fiber: results, errors, cancellation and deadlines.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>

#include "fiber_test.hpp"

namespace {

struct fixture : test::time_limit {};

/// Runs a body in a fiber until it has ended; what it throws leaves this function.
template <class Context, class Body>
void in_fiber(Context& ctx, Body body) {
    bool ended = false;
    rung::spawn(ctx, body, [&](std::exception_ptr e) {
        ended = true;
        if (e) {
            std::rethrow_exception(e);
        }
    });
    ctx.run();
    BOOST_TEST(ended);
}

/// An operation that completes with these arguments: within its initiation, from the queue, or from
/// another thread.
template <class Signature, class Token, class... Args>
auto complete_now(Token&& token, Args... args) {
    return asio::async_initiate<Token, Signature>(
        [](auto handler, auto... a) { std::move(handler)(std::move(a)...); }, token,
        std::move(args)...);
}
template <class Signature, class Token, class... Args>
auto complete_later(asio::any_io_executor ex, Token&& token, Args... args) {
    return asio::async_initiate<Token, Signature>(
        [ex](auto handler, auto... a) {
            asio::post(ex, [h = std::move(handler), ... b = std::move(a)]() mutable {
                std::move(h)(std::move(b)...);
            });
        },
        token, std::move(args)...);
}
template <class Signature, class Token, class... Args>
auto complete_elsewhere(std::thread& thread, Token&& token, Args... args) {
    return asio::async_initiate<Token, Signature>(
        [&thread](auto handler, auto... a) {
            thread = std::thread([h = std::move(handler), ... b = std::move(a)]() mutable {
                std::move(h)(std::move(b)...);
            });
        },
        token, std::move(args)...);
}

error_code aborted() { return asio::error::operation_aborted; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(use_fiber_token, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(returns_what_the_operation_gives, Context, test::contexts) {
    Context ctx;
    in_fiber(ctx, [&] {
        const auto ex = rung::this_fiber::get_executor();
        complete_later<void()>(ex, use_fiber);
        complete_later<void(error_code)>(ex, use_fiber, error_code());
        BOOST_TEST(complete_later<void(int)>(ex, use_fiber, 1) == 1);
        BOOST_TEST(complete_later<void(error_code, int)>(ex, use_fiber, error_code(), 2) == 2);
        BOOST_TEST(complete_later<void(std::exception_ptr, std::string)>(
                       ex, use_fiber, std::exception_ptr(), std::string("three")) == "three");
        const auto [a, b] = complete_later<void(error_code, int, std::string)>(
            ex, use_fiber, error_code(), 4, std::string("five"));
        BOOST_TEST(a == 4);
        BOOST_TEST(b == "five");
        auto p = complete_later<void(std::unique_ptr<int>)>(ex, use_fiber,
                                                            std::make_unique<int>(6));
        BOOST_TEST(*p == 6);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(throws_errors_and_exceptions, Context, test::contexts) {
    Context ctx;
    in_fiber(ctx, [&] {
        const auto ex = rung::this_fiber::get_executor();
        BOOST_CHECK_EXCEPTION(
            (complete_later<void(error_code, int)>(ex, use_fiber, aborted(), 0)), system_error,
            [](const system_error& e) { return e.code() == aborted(); });
        BOOST_CHECK_THROW((complete_later<void(std::exception_ptr)>(
                              ex, use_fiber, std::make_exception_ptr(std::runtime_error("no")))),
                          std::runtime_error);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(adaptors_give_errors_without_throwing, Context, test::contexts) {
    Context ctx;
    in_fiber(ctx, [&] {
        const auto ex = rung::this_fiber::get_executor();
        const auto [ec, n] = complete_later<void(error_code, int)>(ex, asio::as_tuple(use_fiber),
                                                                   aborted(), 7);
        BOOST_TEST(ec == aborted());
        BOOST_TEST(n == 7);
        error_code stored;
        BOOST_TEST((complete_later<void(error_code, int)>(
                       ex, asio::redirect_error(use_fiber, stored), aborted(), 8)) == 8);
        BOOST_TEST(stored == aborted());
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(immediate_completion_does_not_suspend, Context, test::contexts) {
    Context ctx;
    bool other_ran = false;
    in_fiber(ctx, [&] {
        asio::post(ctx, [&] { other_ran = true; });
        BOOST_TEST(complete_now<void(int)>(use_fiber, 1) == 1);
        BOOST_CHECK_THROW(complete_now<void(error_code)>(use_fiber, aborted()), system_error);
        BOOST_TEST(complete_now<void(int)>(use_fiber.after(1h), 2) == 2);
        BOOST_TEST(!other_ran);
        rung::this_fiber::yield();
        BOOST_TEST(other_ran);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_called_on_foreign_threads_are_fine, Context,
                              test::shared_contexts) {
    Context ctx;
    in_fiber(ctx, [&] {
        const auto home = std::this_thread::get_id();
        for (int i = 0; i < 50; ++i) {
            std::thread thread;
            BOOST_TEST(complete_elsewhere<void(int)>(thread, use_fiber, i) == i);
            thread.join();
            BOOST_TEST((std::this_thread::get_id() == home));
        }
    });
}

BOOST_AUTO_TEST_CASE(an_initiation_that_throws_leaves_the_fiber_in_order) {
    rung::io_context ctx;
    in_fiber(ctx, [&] {
        const auto start = [](auto) -> void { throw std::runtime_error("no memory"); };
        BOOST_CHECK_THROW((asio::async_initiate<const rung::use_fiber_t, void()>(start, use_fiber)),
                          std::runtime_error);
        const auto finish_and_throw = [](auto handler) {
            std::move(handler)();
            throw std::runtime_error("too late");
        };
        BOOST_CHECK_THROW(
            (asio::async_initiate<const rung::use_fiber_t, void()>(finish_and_throw, use_fiber)),
            std::runtime_error);
        rung::this_fiber::sleep_for(100us);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_initiation_must_not_wait, Context, test::contexts) {
    Context ctx;
    std::shared_ptr<void> kept;
    in_fiber(ctx, [&] {
        int refused = 0;
        const auto waits_inside = [&](auto wait) {
            asio::async_initiate<const rung::use_fiber_t&, void()>(
                [&](auto handler) {
                    try {
                        wait();
                    } catch (const std::logic_error&) {
                        ++refused;
                    }
                    asio::post(ctx, std::move(handler));
                },
                use_fiber);
        };
        waits_inside([] { rung::this_fiber::yield(); });
        waits_inside([] { rung::this_fiber::sleep_for(1us); });
        waits_inside([&] { asio::post(ctx, use_fiber); });
        BOOST_TEST(refused == 3);
        rung::this_fiber::sleep_for(1us);  // all is well again
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(waits_on_stock_and_native_objects, Context, test::contexts) {
    Context ctx;
    in_fiber(ctx, [&] {
        test::timer_of<Context> native(ctx, 1ms);
        native.async_wait(use_fiber);
        asio::steady_timer guest(rung::this_fiber::get_executor(), 1ms);
        guest.async_wait(use_fiber);
        asio::post(use_fiber);
        asio::post(ctx, use_fiber);
        asio::dispatch(ctx, use_fiber);
        asio::defer(ctx, use_fiber);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_ends_the_operation, Context, test::contexts) {
    Context ctx;
    in_fiber(ctx, [&] {
        test::timer_of<Context> t(ctx, 1h);
        BOOST_CHECK_EXCEPTION(
            t.async_wait(use_fiber.after(1ms)), system_error,
            [](const system_error& e) { return e.code() == asio::error::timed_out; });
        const auto [ec] = t.async_wait(asio::as_tuple(use_fiber.until(rung::clock::now() + 1ms)));
        BOOST_TEST(ec == asio::error::timed_out);
        error_code stored;
        t.async_wait(asio::redirect_error(use_fiber.after(1us), stored));
        BOOST_TEST(stored == asio::error::operation_aborted);
        const auto [past] = t.async_wait(asio::as_tuple(use_fiber.after(-1s)));
        BOOST_TEST(past == asio::error::timed_out);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_that_does_not_come_costs_no_time, Context,
                              test::contexts) {
    Context ctx;
    const auto begin = std::chrono::steady_clock::now();
    in_fiber(ctx, [&] {
        test::timer_of<Context> t(ctx);
        for (int i = 0; i < 20; ++i) {
            t.expires_after(100us);
            t.async_wait(use_fiber.after(1h));
        }
        const auto ex = rung::this_fiber::get_executor();
        BOOST_TEST(complete_later<void(int)>(ex, use_fiber.after(1h), 1) == 1);
    });
    BOOST_TEST((std::chrono::steady_clock::now() - begin < 10s));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_and_a_completion_may_race, Context, test::contexts) {
    Context ctx;
    int done = 0;
    int late = 0;
    in_fiber(ctx, [&] {
        for (int i = 0; i < 200; ++i) {
            test::timer_of<Context> t(ctx, std::chrono::microseconds(20 + i % 3));
            const auto [ec] = t.async_wait(asio::as_tuple(use_fiber.after(21us)));
            BOOST_TEST((!ec || ec == asio::error::timed_out));
            ++(ec ? late : done);
        }
    });
    BOOST_TEST(done + late == 200);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_operation_can_have_a_slot_of_its_own, Context, test::contexts) {
    Context ctx;
    asio::cancellation_signal signal;
    asio::steady_timer soon(ctx, 1ms);
    soon.async_wait([&](error_code) { signal.emit(asio::cancellation_type::terminal); });
    in_fiber(ctx, [&] {
        test::timer_of<Context> t(ctx, 1h);
        const auto [ec] = t.async_wait(
            asio::bind_cancellation_slot(signal.slot(), asio::as_tuple(use_fiber)));
        BOOST_TEST(ec == aborted());
        BOOST_TEST((rung::this_fiber::cancelled() == asio::cancellation_type::none));
        t.expires_after(1us);
        t.async_wait(use_fiber);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_slot_of_its_own_and_a_deadline_both_end_it, Context,
                              test::contexts) {
    Context ctx;
    asio::cancellation_signal signal;
    const auto slot = signal.slot();
    in_fiber(ctx, [&] {
        test::timer_of<Context> t(ctx, 1h);
        const auto late = use_fiber.after(1ms);
        error_code ec;
        BOOST_CHECK_EXCEPTION(
            t.async_wait(asio::bind_cancellation_slot(slot, late)), system_error,
            [](const system_error& e) { return e.code() == asio::error::timed_out; });
        std::tie(ec) = t.async_wait(asio::bind_cancellation_slot(slot, asio::as_tuple(late)));
        BOOST_TEST(ec == asio::error::timed_out);
        std::tie(ec) = t.async_wait(asio::as_tuple(asio::bind_cancellation_slot(slot, late)));
        BOOST_TEST(ec == asio::error::timed_out);
        t.async_wait(asio::bind_cancellation_slot(slot, asio::redirect_error(late, ec)));
        BOOST_TEST(ec == aborted());
        BOOST_TEST(!slot.has_handler());

        test::timer_of<Context> soon(ctx, 1ms);
        soon.async_wait([&](error_code) { signal.emit(asio::cancellation_type::terminal); });
        std::tie(ec) = t.async_wait(
            asio::bind_cancellation_slot(slot, asio::as_tuple(use_fiber.after(1h))));
        BOOST_TEST(ec == aborted());
        BOOST_TEST(!slot.has_handler());
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_request_passes_a_deadline, Context, test::contexts) {
    Context ctx;
    asio::cancellation_signal signal;
    bool ended = false;
    rung::spawn(
        ctx,
        [&] {
            test::timer_of<Context> t(ctx, 1h);
            const auto [ec] = t.async_wait(asio::as_tuple(use_fiber.after(1h)));
            BOOST_TEST(ec == aborted());
        },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
            BOOST_TEST(!e);
            ended = true;
        }));
    asio::steady_timer soon(ctx, 1ms);
    soon.async_wait([&](error_code) { signal.emit(asio::cancellation_type::total); });
    ctx.run();
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(composed_operations_read_and_write, Context, test::contexts) {
    Context ctx;
    using socket = asio::basic_stream_socket<asio::local::stream_protocol,
                                             typename Context::executor_type>;
    socket near(ctx);
    socket far(ctx);
    asio::local::connect_pair(near, far);
    in_fiber(ctx, [&] {
        rung::spawn(ctx, [&] {
            std::string line;
            const std::size_t n = asio::async_read_until(far, asio::dynamic_buffer(line), '\n',
                                                         use_fiber);
            BOOST_TEST(line.substr(0, n) == "hello\n");
            asio::async_write(far, asio::buffer("12345678", 8), use_fiber);
            far.close();
        });
        asio::async_write(near, asio::buffer("hel", 3), use_fiber);
        asio::async_write(near, asio::buffer("lo\n", 3), use_fiber);
        std::string answer(8, ' ');
        BOOST_TEST(asio::async_read(near, asio::buffer(answer), use_fiber.after(10s)) == 8U);
        BOOST_TEST(answer == "12345678");
        const auto [ec, n] = near.async_read_some(asio::buffer(answer), asio::as_tuple(use_fiber));
        BOOST_TEST(ec == asio::error::eof);
        BOOST_TEST(n == 0U);
    });
}

BOOST_AUTO_TEST_CASE(it_can_be_the_default_token) {
    rung::io_context ctx;
    in_fiber(ctx, [&] {
        auto t = rung::use_fiber_t::as_default_on(rung::native<asio::steady_timer>(ctx));
        t.expires_after(1us);
        t.async_wait();
        rung::use_fiber_t::as_default_on_t<asio::steady_timer> guest(ctx.get_executor());
        guest.expires_after(1us);
        guest.async_wait();
    });
}

BOOST_AUTO_TEST_SUITE_END()
