#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <rung/io_context.hpp>
#include <thread>

namespace asio = boost::asio;

BOOST_AUTO_TEST_CASE(running_in_this_thread_is_true_within_handlers_of_that_context_only) {
    rung::io_context ctx;
    rung::io_context other;
    BOOST_TEST(!ctx.get_executor().running_in_this_thread());
    asio::post(ctx, [&] {
        BOOST_TEST(ctx.get_executor().running_in_this_thread());
        BOOST_TEST(!other.get_executor().running_in_this_thread());
        asio::post(other, [&] {
            BOOST_TEST(ctx.get_executor().running_in_this_thread());
            BOOST_TEST(other.get_executor().running_in_this_thread());
        });
        BOOST_TEST(other.run() == 1U);
        BOOST_TEST(!other.get_executor().running_in_this_thread());
        std::thread([&] { BOOST_TEST(!ctx.get_executor().running_in_this_thread()); }).join();
    });
    BOOST_TEST(ctx.run() == 1U);
}
