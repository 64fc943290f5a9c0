// A relay that speaks HTTP's CONNECT and SOCKS5, and a web server behind it, of coroutines in plain
// Asio, made native by rung/as_default.hpp; curl is the client.

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
constexpr auto try_awaitable = asio::as_tuple(asio::use_awaitable);

namespace {

/// Answers every request of a connection with what was asked for, over and over.
asio::awaitable<void> answer(tcp::socket client) {
    std::string in;
    for (;;) {
        const auto [ec, n] = co_await asio::async_read_until(client, asio::dynamic_buffer(in),
                                                             "\r\n\r\n", try_awaitable);
        if (ec) {
            co_return;
        }
        const std::string path = in.substr(4, in.find(' ', 4) - 4);
        in.erase(0, n);
        std::string body;
        for (int i = 0; i < 10'000; ++i) {
            body += path;
        }
        const std::string head =
            "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        const std::array<asio::const_buffer, 2> both{asio::buffer(head), asio::buffer(body)};
        co_await asio::async_write(client, both, asio::use_awaitable);
    }
}

asio::awaitable<void> copy(tcp::socket& from, tcp::socket& to) {
    std::array<char, 4'096> data;
    for (;;) {
        const auto [ec, n] = co_await from.async_read_some(asio::buffer(data), try_awaitable);
        if (ec) {
            break;
        }
        const auto [failed, sent] =
            co_await asio::async_write(to, asio::buffer(data, n), try_awaitable);
        if (failed) {
            break;
        }
    }
    error_code ignored;
    to.shutdown(tcp::socket::shutdown_send, ignored);
}

asio::awaitable<tcp::socket> reach(std::string host, std::string port) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::resolver resolver(executor);
    const auto found = co_await resolver.async_resolve(host, port, asio::use_awaitable);
    tcp::socket socket(executor);
    co_await asio::async_connect(socket, found, asio::use_awaitable);
    co_return socket;
}

/// The target that a client asks for by CONNECT.
asio::awaitable<tcp::socket> connect_by_http(tcp::socket& client) {
    std::string in;
    co_await asio::async_read_until(client, asio::dynamic_buffer(in), "\r\n\r\n",
                                    asio::use_awaitable);
    const std::string target = in.substr(8, in.find(' ', 8) - 8);
    const std::size_t colon = target.rfind(':');
    tcp::socket server = co_await reach(target.substr(0, colon), target.substr(colon + 1));
    co_await asio::async_write(client, asio::buffer(std::string("HTTP/1.1 200 OK\r\n\r\n")),
                               asio::use_awaitable);
    co_return server;
}

/// The target that a client asks for by SOCKS5, as a name.
asio::awaitable<tcp::socket> connect_by_socks(tcp::socket& client) {
    std::array<unsigned char, 262> in;
    const auto take = [&](std::size_t n) {
        return asio::async_read(client, asio::buffer(in, n), asio::use_awaitable);
    };
    co_await take(2);
    co_await take(in[1]);  // the methods that the client offers
    co_await asio::async_write(client, asio::buffer("\5\0", 2), asio::use_awaitable);
    co_await take(5);
    const std::size_t size = in[4];
    co_await take(size + 2);
    const std::string host(reinterpret_cast<char*>(in.data()), size);
    tcp::socket server = co_await reach(host, std::to_string(in[size] << 8 | in[size + 1]));
    co_await asio::async_write(client, asio::buffer("\5\0\0\1\0\0\0\0\0\0", 10),
                               asio::use_awaitable);
    co_return server;
}

asio::awaitable<void> relay(tcp::socket client) {
    using namespace asio::experimental::awaitable_operators;
    char first = 0;
    co_await client.async_receive(asio::buffer(&first, 1), client.message_peek,
                                  asio::use_awaitable);
    auto* const connect = first == 5 ? &connect_by_socks : &connect_by_http;
    tcp::socket server = co_await connect(client);
    co_await (copy(client, server) && copy(server, client));
}

template <class Serve>
asio::awaitable<void> listen(tcp::acceptor acceptor, Serve serve) {
    for (;;) {
        tcp::socket client = co_await acceptor.async_accept(asio::use_awaitable);
        asio::co_spawn(acceptor.get_executor(), serve(std::move(client)), asio::detached);
    }
}

std::string output_of(const std::string& command) {
    std::string all;
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    char data[4'096];
    std::size_t n = 0;
    while ((n = std::fread(data, 1, sizeof data, pipe)) != 0) {
        all.append(data, n);
    }
    BOOST_TEST(::pclose(pipe) == 0, command);
    return all;
}

BOOST_AUTO_TEST_CASE(curl_reaches_a_server_through_the_relay) {
    if (std::system("command -v curl >/dev/null") != 0) {
        BOOST_TEST_MESSAGE("this system has no curl");
        return;
    }
    rung::io_context context;
    tcp::acceptor origin(context, {asio::ip::address_v4::loopback(), 0});
    tcp::acceptor middle(context, {asio::ip::address_v4::loopback(), 0});
    const std::string web = "http://localhost:" + std::to_string(origin.local_endpoint().port());
    const std::string proxy = "127.0.0.1:" + std::to_string(middle.local_endpoint().port());
    asio::co_spawn(context, listen(std::move(origin), answer), asio::detached);
    asio::co_spawn(context, listen(std::move(middle), relay), asio::detached);
    std::string direct;
    std::string tunnelled;
    std::string by_socks;
    std::thread client([&] {
        const std::string curl = "curl -s -S --max-time 20 --noproxy '' ";
        direct = output_of(curl + web + "/ab " + web + "/cd");
        tunnelled = output_of(curl + "-p -x http://" + proxy + " " + web + "/ab " + web + "/cd");
        by_socks = output_of(curl + "--socks5-hostname " + proxy + " " + web + "/ab " + web + "/cd");
        context.stop();
    });
    context.run();
    client.join();
    BOOST_TEST(direct.size() == 60'000U);
    BOOST_TEST(direct.starts_with("/ab/ab"));
    BOOST_TEST(direct.ends_with("/cd/cd"));
    BOOST_TEST((tunnelled == direct));
    BOOST_TEST((by_socks == direct));
}

}  // namespace
