// rung/as_default.hpp: what Asio calls experimental, in a program that does not mention rung but for
// its context.

#include <rung/as_default.hpp>
// What a program includes comes after it.
#include <array>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/experimental/co_composed.hpp>
#include <boost/asio/experimental/co_spawn.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_coro.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <optional>
#include <string>

namespace asio = boost::asio;
namespace experimental = asio::experimental;
using boost::system::error_code;
using std::chrono::milliseconds;
using local = asio::local::stream_protocol;

namespace {

experimental::coro<int> numbers(asio::any_io_executor) {
    for (int i = 1; i < 4; ++i) {
        co_yield i;
    }
}
experimental::coro<void, int> sum(rung::io_context& context) {
    auto generator = numbers(context.get_executor());
    int all = 0;
    while (const std::optional<int> n = co_await generator) {
        all += *n;
    }
    co_return all;
}
experimental::coro<void> echo(local::socket socket) {
    asio::steady_timer pause(socket.get_executor(), milliseconds(1));
    co_await pause.async_wait(experimental::use_coro);
    char bytes[8];
    const std::size_t n = co_await socket.async_read_some(asio::buffer(bytes), asio::deferred);
    co_await asio::async_write(socket, asio::buffer(bytes, n), asio::deferred);
}
experimental::coro<void() noexcept, int> answer(asio::steady_timer&) { co_return 42; }

}  // namespace

BOOST_AUTO_TEST_SUITE(as_default_experimental)

BOOST_AUTO_TEST_CASE(resumable_coroutines_wait_for_native_objects) {
    rung::io_context context;
    local::socket near(context);
    local::socket far(context);
    asio::local::connect_pair(near, far);
    far.send(asio::buffer("hello", 5));
    int ended = 0;
    auto one = echo(std::move(near));
    one.async_resume([&](std::exception_ptr e) { ended += e == nullptr ? 1 : 0; });
    int total = 0;
    auto two = sum(context);
    two.async_resume([&](std::exception_ptr, int n) { total = n; });
    asio::steady_timer timer(context);
    int answered = 0;
    auto three = answer(timer);
    three.async_resume([&](int n) { answered = n; });
    context.run();
    char bytes[8];
    BOOST_TEST(far.receive(asio::buffer(bytes)) == 5U);
    BOOST_TEST(ended == 1);
    BOOST_TEST(total == 6);
    BOOST_TEST(answered == 42);
    BOOST_TEST(context.statistics().guest_thread == false);
}

BOOST_AUTO_TEST_CASE(channels_and_promises_complete) {
    rung::io_context context;
    experimental::channel<void(error_code, int)> channel(context, 1);
    experimental::concurrent_channel<void(error_code, std::string)> concurrent(context);
    int received = 0;
    std::string text;
    channel.async_send({}, 3, asio::detached);
    channel.async_receive([&](error_code ec, int n) { received = ec ? -1 : n; });
    concurrent.async_receive([&](error_code ec, std::string s) { text = ec ? "error" : s; });
    concurrent.async_send({}, "sent", asio::detached);

    asio::steady_timer timer(context, milliseconds(1));
    auto promise = timer.async_wait(experimental::use_promise);
    bool kept = false;
    std::move(promise)([&](error_code ec) { kept = !ec; });
    context.run();
    BOOST_TEST(received == 3);
    BOOST_TEST(text == "sent");
    BOOST_TEST(kept);
}

BOOST_AUTO_TEST_CASE(groups_of_operations_and_the_operators_join_native_ones) {
    using namespace experimental::awaitable_operators;
    rung::io_context context;
    asio::steady_timer soon(context, milliseconds(1));
    asio::steady_timer late(context, std::chrono::hours(1));
    int first = -1;
    experimental::make_parallel_group(late.async_wait(asio::deferred),
                                      soon.async_wait(asio::deferred))
        .async_wait(experimental::wait_for_one(),
                    [&](std::array<std::size_t, 2> order, error_code, error_code) {
                        first = static_cast<int>(order[0]);
                    });
    context.run();
    BOOST_TEST(first == 1);

    context.restart();
    std::size_t winner = 9;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            asio::steady_timer short_one(context, milliseconds(1));
            asio::steady_timer long_one(context, std::chrono::hours(1));
            const auto result = co_await (long_one.async_wait(asio::use_awaitable) ||
                                          short_one.async_wait(asio::use_awaitable));
            winner = result.index();
        },
        asio::detached);
    context.run();
    BOOST_TEST(winner == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
