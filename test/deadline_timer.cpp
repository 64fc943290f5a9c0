// Timers of Boost.Date_Time's clock.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deadline_timer.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
namespace posix_time = boost::posix_time;

namespace {

template <class Loop>
using deadline_timer =
    asio::basic_deadline_timer<posix_time::ptime, asio::time_traits<posix_time::ptime>,
                               typename Loop::executor_type>;

RUNG_RIVAL_CASE(a_wait_takes_its_time) {
    deadline_timer<Loop> t(loop.context(), posix_time::milliseconds(20));
    outcome o;
    t.async_wait(into(o));
    loop.poll();
    BOOST_TEST(o == outcome{});
    const auto begin = std::chrono::steady_clock::now();
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST((std::chrono::steady_clock::now() - begin < std::chrono::seconds(10)));
    BOOST_TEST((asio::time_traits<posix_time::ptime>::now() >= t.expires_at()));
    BOOST_TEST(t.expires_from_now().is_negative());
}

RUNG_RIVAL_CASE(a_time_that_has_passed_is_no_wait) {
    deadline_timer<Loop> t(loop.context(), posix_time::ptime(posix_time::neg_infin));
    outcome o;
    t.async_wait(into(o));
    loop.run();
    BOOST_TEST(o == done());
    t.expires_from_now(posix_time::milliseconds(1));
    t.wait();
}

RUNG_RIVAL_CASE(a_new_expiry_cancels_the_waits) {
    deadline_timer<Loop> t(loop.context(), posix_time::hours(1));
    outcome o[2];
    t.async_wait(into(o[0]));
    t.async_wait(into(o[1]));
    loop.poll();
    BOOST_TEST(t.expires_from_now(posix_time::milliseconds(1)) == 2U);
    outcome next;
    t.async_wait(into(next));
    loop.run();
    BOOST_TEST(o[0] == failed(error::operation_aborted));
    BOOST_TEST(o[1] == failed(error::operation_aborted));
    BOOST_TEST(next == done());
}

RUNG_RIVAL_CASE(waits_are_cancelled_one_by_one_all_by_slot_and_with_their_timer) {
    std::optional<deadline_timer<Loop>> t(std::in_place, loop.context(),
                                          posix_time::ptime(posix_time::pos_infin));
    asio::cancellation_signal signal;
    outcome o[4];
    t->async_wait(into(o[0]));
    t->async_wait(asio::bind_cancellation_slot(signal.slot(), into(o[1])));
    t->async_wait(into(o[2]));
    t->async_wait(into(o[3]));
    loop.poll();
    BOOST_TEST(t->cancel_one() == 1U);
    signal.emit(asio::cancellation_type::terminal);
    loop.poll();
    BOOST_TEST(o[0] == failed(error::operation_aborted));
    BOOST_TEST(o[1] == failed(error::operation_aborted));
    BOOST_TEST(o[2] == outcome{});
    BOOST_TEST(t->cancel() == 2U);
    outcome last;
    t->async_wait(into(last));
    t.reset();
    loop.run();
    BOOST_TEST(o[3] == failed(error::operation_aborted));
    BOOST_TEST(last == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(a_timer_moves_with_its_wait) {
    deadline_timer<Loop> t(loop.context(), posix_time::milliseconds(5));
    outcome o;
    t.async_wait(into(o));
    deadline_timer<Loop> moved(std::move(t));
    deadline_timer<Loop> assigned(loop.context());
    assigned = std::move(moved);
    loop.run();
    BOOST_TEST(o == done());
}

RUNG_RIVAL_CASE(a_context_may_be_destroyed_while_a_deadline_is_ahead) {
    auto t = std::make_shared<deadline_timer<Loop>>(loop.context(), posix_time::hours(1));
    t->async_wait([t](error_code) { BOOST_TEST(false); });
    const std::weak_ptr<void> watch = t;
    t.reset();
    loop.destroy();
    BOOST_TEST(watch.expired());
}

}  // namespace
