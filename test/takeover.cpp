// Native objects that guests take over.

#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <rung/rung.hpp>
#include <string>

#include "time_limit.hpp"

namespace asio = boost::asio;
using boost::system::error_code;
using local = asio::local::stream_protocol;

BOOST_FIXTURE_TEST_SUITE(takeover, test::time_limit)

BOOST_AUTO_TEST_CASE(guests_take_native_objects_over) {
    rung::io_context context;
    asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    asio::ip::tcp::socket client(context);
    std::string received;
    // On a strand of ours it accepts native sockets.
    acceptor.async_accept(
        asio::make_strand(context), [&](error_code ec, asio::ip::tcp::socket socket) {
            BOOST_TEST(!ec);
            auto kept = std::make_shared<asio::ip::tcp::socket>(std::move(socket));
            asio::async_write(*kept, asio::buffer("from a guest", 12),
                              [kept](error_code e, std::size_t) { BOOST_TEST(!e); });
        });
    client.async_connect(acceptor.local_endpoint(), [&](error_code ec) {
        BOOST_TEST(!ec);
        asio::async_read(client, asio::dynamic_buffer(received),
                         [](error_code e, std::size_t) { BOOST_TEST(e == asio::error::eof); });
    });
    context.run();
    BOOST_TEST(received == "from a guest");
}

BOOST_AUTO_TEST_CASE(a_guest_keeps_what_was_set_and_operations_in_flight_are_cancelled) {
    rung::io_context context;
    rung::native<local::socket> near(context);
    rung::native<local::socket> far(context);
    asio::local::connect_pair(near, far);
    near.non_blocking(true);
    char byte = 0;
    error_code cancelled;
    near.async_receive(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) { cancelled = ec; });
    context.poll();

    local::socket guest(std::move(near));
    BOOST_TEST(!near.is_open());
    BOOST_TEST(guest.non_blocking());
    error_code ec;
    BOOST_TEST(guest.receive(asio::buffer(&byte, 1), 0, ec) == 0U);
    BOOST_TEST(ec == asio::error::would_block);
    far.send(asio::buffer("x", 1));
    guest.async_receive(asio::buffer(&byte, 1), [](error_code e, std::size_t) { BOOST_TEST(!e); });
    context.restart();
    context.run();
    BOOST_TEST(cancelled == asio::error::operation_aborted);
    BOOST_TEST(byte == 'x');

    guest = std::move(far);
    BOOST_TEST(guest.is_open());
    guest = rung::native<local::socket>(context);
    BOOST_TEST(!guest.is_open());

    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    rung::native<asio::posix::stream_descriptor> in(context, ends[0]);
    asio::posix::stream_descriptor guest_in(std::move(in));
    asio::posix::stream_descriptor out(context, ends[1]);
    asio::write(out, asio::buffer("y", 1));
    guest_in.async_read_some(asio::buffer(&byte, 1),
                             [](error_code e, std::size_t) { BOOST_TEST(!e); });
    context.restart();
    context.run();
    BOOST_TEST(byte == 'y');
}

BOOST_AUTO_TEST_CASE(a_guest_takes_a_timer_over_with_its_expiry) {
    rung::io_context context;
    using native_timer = rung::native<asio::steady_timer>;
    native_timer native(context, std::chrono::milliseconds(3));
    const auto expiry = native.expiry();
    error_code cancelled;
    native.async_wait([&](error_code ec) { cancelled = ec; });
    asio::steady_timer guest(std::move(native));
    BOOST_TEST((guest.expiry() == expiry));
    bool fired = false;
    guest.async_wait([&](error_code ec) {
        BOOST_TEST(!ec);
        fired = asio::steady_timer::clock_type::now() >= expiry;
    });
    context.run();
    BOOST_TEST(cancelled == asio::error::operation_aborted);
    BOOST_TEST(fired);
    guest = native_timer(context, std::chrono::hours(1));
    BOOST_TEST((guest.expiry() > expiry));
}

BOOST_AUTO_TEST_SUITE_END()
