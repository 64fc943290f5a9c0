/// Urgent data of TCP, which goes past the stream.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <thread>

#include "rivals.hpp"

using namespace test;

namespace {

RUNG_RIVAL_CASE(out_of_band_data_is_announced_and_read_apart) {
    for (const asio::ip::address& address : loopbacks()) {
        auto [a, b] = tcp_pair(loop, address);
        a.send(asio::buffer("ab", 2));
        a.send(asio::buffer("!", 1), a.message_out_of_band);
        b.wait(b.wait_error);
        char in[4] = {};
        BOOST_TEST(!b.at_mark());
        BOOST_TEST(b.receive(asio::buffer(in, 1), b.message_out_of_band) == 1U);
        BOOST_TEST(in[0] == '!');
        BOOST_TEST(b.receive(asio::buffer(in, 4)) == 2U);
        BOOST_TEST(b.at_mark());
    }
}

RUNG_RIVAL_CASE(out_of_band_data_passes_a_waiting_receive_by) {
    for (const asio::ip::address& address : loopbacks()) {
        auto [a, b] = tcp_pair(loop, address);
        char urgent = 0;
        char in[8] = {};
        outcome waited;
        outcome received;
        b.async_wait(b.wait_error, into(waited));
        b.async_receive(asio::buffer(&urgent, 1), b.message_out_of_band, into(received));
        loop.poll();
        BOOST_TEST(waited == outcome{});
        BOOST_TEST(received == outcome{});
        outcome sent;
        a.send(asio::buffer("ab", 2));
        a.async_send(asio::buffer("!", 1), a.message_out_of_band, into(sent));
        loop.run();
        BOOST_TEST(sent == done(1));
        BOOST_TEST(waited == done());
        BOOST_TEST(received == done(1));
        BOOST_TEST(urgent == '!');
        BOOST_TEST(b.receive(asio::buffer(in)) == 2U);
        BOOST_TEST(b.at_mark());
    }
}

RUNG_RIVAL_CASE(a_receive_of_out_of_band_data_outlives_the_thread_that_began_it) {
    auto [a, b] = tcp_pair(loop);
    char urgent = 0;
    outcome received;
    std::thread([&] {
        b.async_receive(asio::buffer(&urgent, 1), b.message_out_of_band, into(received));
        loop.poll();
    }).join();
    for (int i = 0; i < 5; ++i) {  // what comes back goes to the kernel once more
        loop.poll();
    }
    BOOST_TEST(received == outcome{});
    a.send(asio::buffer("!", 1), a.message_out_of_band);
    loop.run();
    BOOST_TEST(received == done(1));
    BOOST_TEST(urgent == '!');
}

RUNG_RIVAL_CASE(a_receive_of_out_of_band_data_is_cancelled_in_every_way) {
    auto [a, b] = tcp_pair(loop);
    char in[3] = {};
    outcome by_slot;
    outcome by_cancel;
    outcome by_close;
    const auto receive = [&, &b = b](int i, auto handler) {
        b.async_receive(asio::buffer(&in[i], 1), b.message_out_of_band, handler);
    };
    if (Loop::ours) {  // stock Asio looks for it among those that wait for ordinary data
        asio::cancellation_signal signal;
        receive(0, asio::bind_cancellation_slot(signal.slot(), into(by_slot)));
        loop.poll();
        signal.emit(asio::cancellation_type::total);
        loop.run();
        BOOST_TEST(by_slot == failed(asio::error::operation_aborted));
    }
    receive(1, into(by_cancel));
    loop.poll();
    b.cancel();
    loop.run();
    BOOST_TEST(by_cancel == failed(asio::error::operation_aborted));
    receive(2, into(by_close));
    loop.poll();
    b.close();
    loop.run();
    BOOST_TEST(by_close == failed(asio::error::operation_aborted));
}

}  // namespace
