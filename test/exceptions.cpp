// Exceptions that leave handlers, and through which calls.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <exception>
#include <memory>
#include <rung/io_context.hpp>
#include <stdexcept>

#include "contexts.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

struct thrown : std::runtime_error {
    explicit thrown(int i) : std::runtime_error("thrown"), id(i) {}
    int id;
};

/// The number of the exception that leaves `f`, or 0 if none does.
template <class F>
int thrown_by(F f) {
    try {
        f();
    } catch (const thrown& e) {
        return e.id;
    }
    return 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(leave_every_kind_of_run_which_may_be_called_again, Context,
                              test::contexts) {
    Context ctx;
    const auto throwing = [](int i) { return [i] { throw thrown(i); }; };
    for (int i = 1; i <= 6; ++i) {
        asio::post(ctx, throwing(i));
    }
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 1);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(thrown_by([&] { ctx.run_one(); }) == 2);
    BOOST_TEST(thrown_by([&] { ctx.poll(); }) == 3);
    BOOST_TEST(thrown_by([&] { ctx.poll_one(); }) == 4);
    BOOST_TEST(thrown_by([&] { ctx.run_for(10s); }) == 5);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(thrown_by([&] { ctx.run_one_for(10s); }) == 6);
    BOOST_TEST(ctx.stopped());  // it left with the last of the work
    asio::post(ctx, throwing(7));
    BOOST_TEST(ctx.run() == 0U);
    ctx.restart();
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 7);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(of_a_timers_handler_leave_run, Context, test::contexts) {
    Context ctx;
    test::timer_of<Context> soon(ctx, 1ms);
    soon.async_wait([](auto) { throw thrown(1); });
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 1);
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(of_an_inline_execute_leave_run_after_the_handler, Context,
                              test::contexts) {
    Context ctx;
    bool went_on = false;
    asio::post(ctx, [&] {
        asio::dispatch(ctx, [] { throw thrown(1); });
        ctx.get_executor().execute([&] { went_on = true; });
    });
    asio::post(ctx, [] {});
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 1);
    BOOST_TEST(went_on);
    BOOST_TEST(ctx.run() == 1U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(of_several_inline_executes_leave_as_one, Context, test::contexts) {
    Context ctx;
    for (int several = 2; several <= 4; ++several) {
        asio::post(ctx, [&] {
            for (int i = 1; i <= several; ++i) {
                asio::dispatch(ctx, [i] { throw thrown(i); });
            }
        });
        ctx.restart();
        bool caught = false;
        try {
            ctx.run();
        } catch (const asio::multiple_exceptions& e) {
            caught = true;
            BOOST_TEST(thrown_by([&] { std::rethrow_exception(e.first_exception()); }) == 1);
        }
        BOOST_TEST(caught);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(of_the_handler_itself_win_over_captured_ones, Context,
                              test::contexts) {
    Context ctx;
    asio::post(ctx, [&] {
        asio::dispatch(ctx, [] { throw thrown(1); });
        throw thrown(2);
    });
    asio::post(ctx, [] {});
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 2);
    BOOST_TEST(thrown_by([&] { BOOST_TEST(ctx.run() == 1U); }) == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(of_the_older_dispatch_go_to_its_caller, Context, test::contexts) {
    Context ctx;
    asio::post(ctx, [&] {
        BOOST_TEST(thrown_by([&] {
                       ctx.get_executor().dispatch([] { throw thrown(1); }, std::allocator<void>());
                   }) == 1);
    });
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(leave_the_innermost_of_nested_runs, Context, test::nesting_contexts) {
    Context ctx;
    asio::post(ctx, [&] {
        asio::post(ctx, [] { throw thrown(1); });
        BOOST_TEST(thrown_by([&] { ctx.run(); }) == 1);
        BOOST_TEST(!ctx.stopped());
        asio::dispatch(ctx, [] { throw thrown(2); });  // is kept for the run that is innermost now
        asio::post(ctx, [] {});
        BOOST_TEST(thrown_by([&] { BOOST_TEST(ctx.poll() == 1U); }) == 0);
    });
    BOOST_TEST(thrown_by([&] { ctx.run(); }) == 2);
    BOOST_TEST(ctx.stopped());
}
