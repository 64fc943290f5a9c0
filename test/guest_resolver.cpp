/// Stock resolvers on our context, which may be all the guests that there are.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <rung/rung.hpp>
#include <string>
#include <thread>

#include "context_fixture.hpp"
#include "thread_group.hpp"
#include "watchdog.hpp"

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(a_resolver_may_be_the_only_guest) {
    rung::io_context context;
    asio::ip::tcp::resolver by_name(context);
    asio::ip::udp::resolver by_address(context);
    int answers = 0;
    const auto count = [&](error_code ec, const auto& results) {
        answers += !ec && !results.empty() ? 1 : 0;
    };
    by_name.async_resolve("localhost", "80", count);
    by_address.async_resolve({asio::ip::address_v4::loopback(), 80}, count);
    const test::watchdog guard([&] { context.stop(); });
    BOOST_TEST(context.run() == 2U);
    BOOST_TEST(!guard.expired());
    BOOST_TEST(answers == 2);
}

BOOST_AUTO_TEST_CASE(a_coroutine_looks_a_name_up_before_it_makes_a_socket) {
    rung::io_context context;
    asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    bool connected = false;
    const auto client = [&]() -> asio::awaitable<void> {
        const auto ex = co_await asio::this_coro::executor;
        asio::ip::tcp::resolver resolver(ex);
        const auto found = co_await resolver.async_resolve(
            "127.0.0.1", std::to_string(acceptor.local_endpoint().port()), asio::use_awaitable);
        asio::ip::tcp::socket socket(ex);
        co_await asio::async_connect(socket, found, asio::use_awaitable);
        connected = true;
    };
    rung::io_context clients;
    asio::co_spawn(clients, client(), asio::detached);
    const test::watchdog guard([&] { clients.stop(); });
    clients.run();
    BOOST_TEST(!guard.expired());
    BOOST_TEST(connected);
}

BOOST_AUTO_TEST_CASE(a_lookup_wakes_the_loop_whoever_begins_it) {
    for (const int hint : {1, -1}) {
        rung::io_context context(hint);
        auto work = asio::make_work_guard(context);
        std::thread runner([&] { context.run(); });
        std::this_thread::sleep_for(20ms);  // the loop sleeps
        asio::ip::tcp::resolver resolver(context);
        auto found = resolver.async_resolve("localhost", "80", asio::use_future);
        BOOST_TEST((found.wait_for(10s) == std::future_status::ready));
        context.stop();
        runner.join();
    }
}

BOOST_AUTO_TEST_CASE(a_handler_may_wait_for_the_answer_to_a_lookup_where_another_thread_runs) {
    rung::io_context context;
    auto work = asio::make_work_guard(context);
    bool answered = false;
    test::thread_group threads(2, [&](int) { context.run(); });
    std::this_thread::sleep_for(20ms);  // both sleep
    asio::post(context, [&] {
        std::this_thread::sleep_for(20ms);  // the other one does again
        asio::ip::tcp::resolver resolver(context);
        auto found = resolver.async_resolve("localhost", "80", asio::use_future);
        answered = found.wait_for(10s) == std::future_status::ready;
        context.stop();
    });
    threads.join();
    BOOST_TEST(answered);
}

BOOST_AUTO_TEST_CASE(a_program_that_polls_gets_the_answer_to_a_lookup) {
    rung::io_context context;
    asio::ip::tcp::resolver resolver(context);
    bool answered = false;
    resolver.async_resolve("localhost", "80", [&](error_code, auto) { answered = true; });
    const auto give_up = std::chrono::steady_clock::now() + 10s;
    while (!answered && std::chrono::steady_clock::now() < give_up) {
        context.poll();
    }
    BOOST_TEST(answered);
}

BOOST_AUTO_TEST_CASE(a_context_without_guests_has_no_reactor) {
    rung::io_context context;
    const std::size_t descriptors = test::open_descriptors();
    rung::native<asio::ip::tcp::resolver> native(context);
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await native.async_resolve("127.0.0.1", "80", asio::use_awaitable);
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        },
        asio::detached);
    auto work = asio::make_work_guard(context);
    std::thread other([&] {
        std::this_thread::sleep_for(20ms);
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                work.reset();
                co_return;
            },
            asio::detached);
    });
    context.run();
    other.join();
    BOOST_TEST(test::open_descriptors() == descriptors);
}
