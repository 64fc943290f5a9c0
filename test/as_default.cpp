// rung/as_default.hpp: plain names of Asio are native, and go on working.

#include <rung/as_default.hpp>
// What a program includes comes after it.
#include <boost/asio.hpp>
#include <boost/asio/deadline_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

namespace {

template <class... IoObjects>
constexpr bool all_native = (std::is_same_v<typename IoObjects::executor_type, rung::executor> && ...);

static_assert(all_native<tcp::socket, tcp::acceptor, tcp::resolver, udp::socket, udp::resolver,
                         asio::ip::icmp::socket, asio::local::stream_protocol::socket,
                         asio::local::stream_protocol::acceptor,
                         asio::local::datagram_protocol::socket,
                         asio::generic::stream_protocol::socket,
                         asio::generic::seq_packet_protocol::socket>);
static_assert(all_native<asio::steady_timer, asio::system_timer, asio::high_resolution_timer,
                         asio::basic_deadline_timer<boost::posix_time::ptime>>);
static_assert(all_native<asio::signal_set, asio::serial_port, asio::readable_pipe,
                         asio::writable_pipe, asio::posix::descriptor,
                         asio::posix::stream_descriptor>);
static_assert(all_native<asio::awaitable<void>>);
// The type itself is what it was, and so are objects that name it.
static_assert(!std::is_same_v<asio::any_io_executor, rung::executor>);
static_assert(std::is_constructible_v<asio::any_io_executor, asio::io_context::executor_type>);
static_assert(std::is_same_v<asio::basic_stream_socket<tcp, asio::any_io_executor>::executor_type,
                             asio::any_io_executor>);

asio::awaitable<void> serve(tcp::acceptor& acceptor) {
    tcp::socket peer = co_await acceptor.async_accept(asio::use_awaitable);
    char data[16];
    const std::size_t n = co_await peer.async_read_some(asio::buffer(data), asio::use_awaitable);
    asio::steady_timer pause(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
    co_await asio::async_write(peer, asio::buffer(data, n), asio::use_awaitable);
}

BOOST_AUTO_TEST_CASE(unedited_code_runs_on_the_native_objects) {
    rung::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    asio::co_spawn(context, serve(acceptor), asio::detached);

    tcp::resolver resolver(context);
    tcp::socket client(context);
    char answer[16];
    std::size_t size = 0;
    resolver.async_resolve(
        "127.0.0.1", std::to_string(acceptor.local_endpoint().port()),
        [&](auto error, tcp::resolver::results_type found) {
            BOOST_TEST(!error);
            asio::async_connect(client, found, [&](auto failed, const tcp::endpoint&) {
                BOOST_TEST(!failed);
                client.send(asio::buffer("hello", 5));
                client.async_read_some(asio::buffer(answer), [&](auto, std::size_t n) { size = n; });
            });
        });
    asio::signal_set signals(context, SIGUSR1);
    int caught = 0;
    signals.async_wait([&](auto, int number) { caught = number; });
    std::raise(SIGUSR1);
    context.run();
    BOOST_TEST(std::string(answer, size) == "hello");
    BOOST_TEST(caught == SIGUSR1);
    BOOST_TEST(context.statistics().completions > 0U);
}

BOOST_AUTO_TEST_CASE(streams_of_the_standard_library_still_connect) {
    rung::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    tcp::iostream stream(acceptor.local_endpoint());
    tcp::socket peer = acceptor.accept();
    stream << "a line" << std::endl;
    char data[16];
    BOOST_TEST(peer.read_some(asio::buffer(data)) == 7U);
    peer.send(asio::buffer("42\n", 3));
    int n = 0;
    stream >> n;
    BOOST_TEST(n == 42);
}

BOOST_AUTO_TEST_CASE(objects_of_another_executor_are_guests_as_before) {
    rung::io_context context;
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, asio::any_io_executor>
        timer(context.get_executor(), std::chrono::milliseconds(1));
    bool expired = false;
    timer.async_wait([&](auto error) { expired = !error; });
    context.run();
    BOOST_TEST(expired);
}

}  // namespace
