// Boost.Redis over our executor, against a server of our own making that knows three commands.

#include <boost/asio.hpp>
#include <boost/redis/connection.hpp>
#include <boost/redis/src.hpp>
#include <boost/test/unit_test.hpp>
#include <exception>
#include <rung/rung.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "time_limit.hpp"

namespace asio = boost::asio;
namespace redis = boost::redis;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

namespace {

/// The next number in "*3\r\n" or "$5\r\n".
awaitable<std::size_t> take_number(tcp::socket& from, std::string& in) {
    const std::size_t n =
        co_await asio::async_read_until(from, asio::dynamic_buffer(in), "\r\n", use_awaitable);
    const std::size_t number = std::stoul(in.substr(1, n - 3));
    in.erase(0, n);
    co_return number;
}

/// Answers HELLO with a map, PING with its argument, and everything else with OK.
awaitable<void> answer(tcp::socket client) {
    std::string in;
    for (;;) {
        std::vector<std::string> words(co_await take_number(client, in));
        for (std::string& word : words) {
            const std::size_t size = co_await take_number(client, in);
            if (in.size() < size + 2) {
                co_await asio::async_read(client, asio::dynamic_buffer(in),
                                          asio::transfer_exactly(size + 2 - in.size()),
                                          use_awaitable);
            }
            word = in.substr(0, size);
            in.erase(0, size + 2);
        }
        std::string out = "+OK\r\n";
        if (words[0] == "HELLO") {
            out = "%1\r\n$5\r\nproto\r\n:3\r\n";
        } else if (words[0] == "PING" && words.size() > 1) {
            out = "$" + std::to_string(words[1].size()) + "\r\n" + words[1] + "\r\n";
        }
        co_await asio::async_write(client, asio::buffer(out), use_awaitable);
    }
}

awaitable<void> serve(tcp::acceptor& acceptor) {
    for (;;) {
        asio::co_spawn(acceptor.get_executor(),
                       answer(co_await acceptor.async_accept(use_awaitable)), asio::detached);
    }
}

/// One question and its answer.
template <class Connection>
awaitable<void> ask(Connection& connection, std::string& answer) {
    redis::request request;
    request.push("PING", "hello");
    redis::response<std::string> response;
    co_await connection.async_exec(request, response, use_awaitable);
    answer = std::get<0>(response).value();
}

/// Native, and the type that programs name, which is a guest.
using connections = std::tuple<redis::basic_connection<rung::executor>, redis::connection>;

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(a_command_is_answered, Connection, connections) {
    const test::time_limit limit;
    rung::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    asio::co_spawn(context, serve(acceptor), asio::detached);
    Connection connection(context.get_executor());
    redis::config config;
    config.addr = {"127.0.0.1", std::to_string(acceptor.local_endpoint().port())};
    connection.async_run(config, asio::detached);
    std::string answer;
    asio::co_spawn(context, ask(connection, answer), [&](const std::exception_ptr& e) {
        connection.cancel();
        context.stop();
        if (e) {
            std::rethrow_exception(e);
        }
    });
    context.run();
    BOOST_TEST(answer == "hello");
}
