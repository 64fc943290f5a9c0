// Those who wait in objects of synchronisation and do not stay to the end: they are cancelled, late,
// or gone with their context.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <mutex>
#include <rung/rung.hpp>
#include <tuple>

#include "contexts.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using boost::system::system_error;
using rung::use_fiber;

namespace {

struct fixture : test::time_limit {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(waiter, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_ends_its_own_wait_and_no_other, Context, test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    rung::condition_variable changed;
    bool held = false;
    rung::spawn(ctx, [&] {
        std::unique_lock lock(m);
        changed.async_wait(m, use_fiber.after(1h));
        BOOST_TEST(!held);
    });
    rung::spawn(ctx, [&] {
        const std::lock_guard lock(m);
        held = true;
        changed.notify_one();  // who was notified waits for the mutex now
        rung::this_fiber::sleep_for(20ms);
        held = false;
    });
    rung::spawn(ctx, [&] {
        const auto [ec] = m.async_lock(asio::as_tuple(use_fiber.after(1ms)));
        BOOST_TEST(ec == asio::error::timed_out);
        BOOST_TEST(held);
    });
    ctx.run();
    BOOST_TEST(m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_SUITE_END()
