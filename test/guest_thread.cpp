// A program for which Asio is configured without epoll: its guests are Asio's own business.

#define BOOST_ASIO_DISABLE_EPOLL 1

#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <rung/rung.hpp>

static_assert(RUNG_ASIO_USES_EPOLL == 0);

BOOST_AUTO_TEST_CASE(statistics_tell_that_guests_have_a_thread_of_their_own) {
    rung::io_context context;
    BOOST_TEST(context.statistics().guest_thread);
    bool ran = false;
    boost::asio::post(context, [&] { ran = true; });
    BOOST_TEST(context.run() == 1U);
    BOOST_TEST(ran);
}
