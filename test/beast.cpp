// Beast over native streams and over guests: HTTP round trips on one connection with bodies in
// chunks, time limits, and WebSocket.

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/beast.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <rung/rung.hpp>
#include <string>
#include <tuple>

#include "time_limit.hpp"

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

#if defined(__GNUC__) && !defined(__clang__)
// GCC takes the pair of functions that Asio gives coroutine frames for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace {

constexpr auto try_awaitable = asio::as_tuple(use_awaitable);

/// The two ends of a connection.
template <class Stream>
struct ends : test::time_limit {
    explicit ends(int hint) : context(hint), client(context), server(context) {
        tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
        client.socket().connect(acceptor.local_endpoint());
        acceptor.accept(server.socket());
    }
    void run(awaitable<void> all) {
        asio::co_spawn(context, std::move(all), [](const std::exception_ptr& e) {
            if (e) {
                std::rethrow_exception(e);
            }
        });
        context.run();
    }

    rung::io_context context;
    Stream client;
    Stream server;
};

using streams = std::tuple<beast::basic_stream<tcp, rung::executor>, beast::tcp_stream>;
constexpr int hints[] = {1, -1};

/// Gives every body back in chunks, until the client closes the connection. The number of requests.
template <class Stream>
awaitable<int> serve(Stream& stream) {
    beast::flat_buffer buffer;
    for (int answered = 0;; ++answered) {
        http::request_parser<http::string_body> parser;
        parser.body_limit(boost::none);
        stream.expires_after(20s);
        const auto [ec, n] = co_await http::async_read(stream, buffer, parser, try_awaitable);
        if (ec) {
            BOOST_TEST(ec == beast::error_code(http::error::end_of_stream));
            co_return answered;
        }
        BOOST_TEST(parser.chunked());
        http::response<http::string_body> response(http::status::ok, 11);
        response.keep_alive(parser.keep_alive());
        response.body() = std::move(parser.get().body());
        response.chunked(true);
        co_await http::async_write(stream, response, use_awaitable);
    }
}

/// Sends bodies of several sizes in chunks, and a last request that closes.
template <class Stream>
awaitable<void> ask(Stream& stream) {
    beast::flat_buffer buffer;
    for (const std::size_t size : {1, 1'000, 100'000, 2'000'000, 5}) {
        http::request<http::string_body> request(http::verb::post, "/", 11);
        request.set(http::field::host, "localhost");
        request.keep_alive(true);
        request.body() = std::string(size, 'x');
        request.chunked(true);
        http::response_parser<http::string_body> parser;
        parser.body_limit(boost::none);
        stream.expires_after(20s);
        co_await http::async_write(stream, request, use_awaitable);
        co_await http::async_read(stream, buffer, parser, use_awaitable);
        BOOST_TEST(parser.chunked());
        BOOST_TEST(parser.keep_alive());
        BOOST_TEST((parser.get().body() == request.body()));
    }
    stream.socket().shutdown(tcp::socket::shutdown_send);
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(one_connection_carries_many_bodies_in_chunks, Stream, streams) {
    for (const int hint : hints) {
        ends<Stream> e(hint);
        int answered = 0;
        e.run([](auto& both, int& n) -> awaitable<void> {
            n = co_await (serve(both.server) && ask(both.client));
        }(e, answered));
        BOOST_TEST(answered == 5);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_stream_that_is_silent_too_long_times_out, Stream, streams) {
    for (const int hint : hints) {
        ends<Stream> e(hint);
        beast::flat_buffer buffer;
        http::request<http::string_body> request;
        beast::error_code ec;
        e.server.expires_after(10ms);
        http::async_read(e.server, buffer, request,
                         [&](beast::error_code error, std::size_t) { ec = error; });
        e.context.run();
        BOOST_TEST(ec == beast::error_code(beast::error::timeout));
        BOOST_TEST(!e.server.socket().is_open());
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(websockets_echo_ping_and_close, Stream, streams) {
    for (const int hint : hints) {
        ends<Stream> e(hint);
        websocket::stream<Stream> client(std::move(e.client));
        websocket::stream<Stream> server(std::move(e.server));
        int pongs = 0;
        client.control_callback([&](websocket::frame_type type, beast::string_view) {
            pongs += type == websocket::frame_type::pong ? 1 : 0;
        });
        const auto echo = [&]() -> awaitable<void> {
            co_await server.async_accept(use_awaitable);
            for (;;) {
                beast::flat_buffer buffer;
                const auto [ec, n] = co_await server.async_read(buffer, try_awaitable);
                if (ec) {
                    BOOST_TEST(ec == beast::error_code(websocket::error::closed));
                    co_return;
                }
                server.text(server.got_text());
                co_await server.async_write(buffer.data(), use_awaitable);
            }
        };
        const auto speak = [&]() -> awaitable<void> {
            co_await client.async_handshake("localhost", "/", use_awaitable);
            co_await client.async_ping({}, use_awaitable);
            for (const std::size_t size : {1, 1'000, 300'000}) {
                const std::string text(size, 'x');
                beast::flat_buffer back;
                co_await client.async_write(asio::buffer(text), use_awaitable);
                co_await client.async_read(back, use_awaitable);
                BOOST_TEST((beast::buffers_to_string(back.data()) == text));
            }
            co_await client.async_close(websocket::close_code::normal, use_awaitable);
        };
        e.run([](auto& one, auto& other) -> awaitable<void> { co_await (one() && other()); }(
                                             echo, speak));
        BOOST_TEST(pongs == 1);
    }
}
