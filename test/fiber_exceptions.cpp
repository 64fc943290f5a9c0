// Exceptions thrown, handled and held while fibers take turns.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <exception>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>

#include "contexts.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;

namespace {

struct fixture : test::time_limit {};

constexpr int fibers = 5;
constexpr int rounds = 4;

std::string what_is_handled() {
    try {
        throw;
    } catch (const std::exception& e) {
        return e.what();
    }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_exceptions, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(each_fiber_handles_its_own, Context, test::contexts) {
    Context ctx;
    int done = 0;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&, name = std::to_string(i)] {
            for (int n = 0; n < rounds; ++n) {
                try {
                    throw std::runtime_error(name);
                } catch (const std::exception&) {
                    rung::this_fiber::yield();
                    BOOST_TEST(what_is_handled() == name);
                    rung::this_fiber::yield();
                    BOOST_TEST(what_is_handled() == name);
                }
                BOOST_TEST(!std::current_exception());
            }
            ++done;
        });
    }
    asio::post(ctx, [] { BOOST_TEST(!std::current_exception()); });
    ctx.run();
    BOOST_TEST(done == fibers);
    BOOST_TEST(!std::current_exception());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rethrown_after_a_wait_it_is_the_same, Context, test::contexts) {
    Context ctx;
    int caught = 0;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&, name = std::to_string(i)] {
            try {
                try {
                    throw std::runtime_error(name);
                } catch (const std::exception&) {
                    rung::this_fiber::yield();
                    throw;
                }
            } catch (const std::runtime_error& e) {
                rung::this_fiber::yield();
                BOOST_TEST(e.what() == name);
                ++caught;
            }
        });
    }
    ctx.run();
    BOOST_TEST(caught == fibers);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_wait_while_the_stack_unwinds, Context, test::contexts) {
    struct waits_in_destructor {
        ~waits_in_destructor() {
            const int before = std::uncaught_exceptions();
            rung::this_fiber::yield();
            BOOST_TEST(std::uncaught_exceptions() == before);
            BOOST_TEST(before == 1);
        }
    };
    Context ctx;
    int caught = 0;
    for (int i = 0; i < fibers; ++i) {
        rung::spawn(ctx, [&, name = std::to_string(i)] {
            BOOST_TEST(std::uncaught_exceptions() == 0);
            try {
                const waits_in_destructor w;
                throw std::runtime_error(name);
            } catch (const std::runtime_error& e) {
                BOOST_TEST(e.what() == name);
                ++caught;
            }
            BOOST_TEST(std::uncaught_exceptions() == 0);
        });
    }
    asio::post(ctx, [] { BOOST_TEST(std::uncaught_exceptions() == 0); });
    ctx.run();
    BOOST_TEST(caught == fibers);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_run_within_a_handler_does_not_see_the_handlers, Context,
                              test::nesting_contexts) {
    Context ctx;
    bool ran = false;
    asio::post(ctx, [&] {
        try {
            throw std::runtime_error("the handler's");
        } catch (const std::exception&) {
            asio::dispatch(rung::fiber_executor(ctx), [&] {
                BOOST_TEST(!std::current_exception());
                try {
                    throw std::logic_error("the fiber's");
                } catch (const std::exception&) {
                    rung::this_fiber::yield();
                    BOOST_TEST(what_is_handled() == "the fiber's");
                    ran = true;
                }
            });
            BOOST_TEST(what_is_handled() == "the handler's");
            ctx.poll();
            BOOST_TEST(what_is_handled() == "the handler's");
        }
    });
    ctx.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(exception_pointers_outlive_their_fiber, Context, test::contexts) {
    Context ctx;
    std::exception_ptr kept;
    rung::spawn(ctx, [&] {
        try {
            throw std::runtime_error("kept");
        } catch (...) {
            kept = std::current_exception();
            rung::this_fiber::yield();
        }
    });
    ctx.run();
    BOOST_CHECK_THROW(std::rethrow_exception(kept), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()
