// A daytime server over TCP and UDP in plain Asio, made native by rung/as_default.hpp; its clients
// are a stock Asio program.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

namespace {

std::string daytime() {
    const std::time_t now = std::time(nullptr);
    return std::ctime(&now);
}

asio::awaitable<void> serve_stream(tcp::acceptor acceptor) {
    for (;;) {
        tcp::socket client = co_await acceptor.async_accept(asio::use_awaitable);
        co_await asio::async_write(client, asio::buffer(daytime()), asio::use_awaitable);
    }
}

asio::awaitable<void> serve_datagrams(udp::socket socket) {
    for (;;) {
        char request[1];
        udp::endpoint client;
        co_await socket.async_receive_from(asio::buffer(request), client, asio::use_awaitable);
        co_await socket.async_send_to(asio::buffer(daytime()), client, asio::use_awaitable);
    }
}

/// What a program on stock Asio gets, which blocks.
template <class Protocol>
using stock_socket = typename Protocol::socket::template rebind_executor<asio::any_io_executor>::other;

std::string ask(const tcp::endpoint& server) {
    asio::io_context context;
    stock_socket<tcp> socket(context);
    socket.connect(server);
    std::string answer;
    boost::system::error_code ec;
    asio::read(socket, asio::dynamic_buffer(answer), ec);
    BOOST_TEST(ec == asio::error::eof);
    return answer;
}

std::string ask(const udp::endpoint& server) {
    asio::io_context context;
    stock_socket<udp> socket(context, udp::v4());
    socket.send_to(asio::buffer("?", 1), server);
    char answer[64];
    udp::endpoint from;
    const std::size_t n = socket.receive_from(asio::buffer(answer), from);
    BOOST_TEST(from == server);
    return std::string(answer, n);
}

/// Whether both are the time of day, of now.
bool is_now(const std::string& s) {
    std::tm parsed{};
    if (::strptime(s.c_str(), "%a %b %d %H:%M:%S %Y", &parsed) == nullptr) {
        return false;
    }
    parsed.tm_isdst = -1;
    return std::abs(std::difftime(std::mktime(&parsed), std::time(nullptr))) < 30;
}

BOOST_AUTO_TEST_CASE(both_servers_tell_the_time) {
    rung::io_context context;
    const asio::ip::address here = asio::ip::address_v4::loopback();
    tcp::acceptor acceptor(context, {here, 0});
    udp::socket socket(context, udp::endpoint(here, 0));
    const tcp::endpoint stream = acceptor.local_endpoint();
    const udp::endpoint datagrams = socket.local_endpoint();
    asio::co_spawn(context, serve_stream(std::move(acceptor)), asio::detached);
    asio::co_spawn(context, serve_datagrams(std::move(socket)), asio::detached);
    std::vector<std::string> answers;
    std::thread clients([&] {
        for (int i = 0; i < 20; ++i) {
            answers.push_back(ask(stream));
            answers.push_back(ask(datagrams));
        }
        context.stop();
    });
    context.run();
    clients.join();
    BOOST_TEST(answers.size() == 40U);
    for (const std::string& a : answers) {
        BOOST_TEST(is_now(a), a);
    }
}

}  // namespace
