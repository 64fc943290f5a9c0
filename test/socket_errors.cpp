// Asynchronous operations of stream sockets that fail, and with what.

#include <fcntl.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

template <class Socket>
void reset(Socket& s) {
    s.set_option(asio::socket_base::linger(true, 0));
    s.close();
}

RUNG_RIVAL_CASE(the_end_of_the_stream_is_eof) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4];
        outcome waiting;
        b.async_receive(asio::buffer(in), into(waiting));
        loop.poll();
        a.send(asio::buffer("abc", 3));
        a.shutdown(a.shutdown_send);
        loop.run();
        BOOST_TEST(waiting == done(3));
        // Stock Asio waits for news of the socket if it is read on after its end.
        const int times = Loop::ours ? 12 : 1;
        for (int i = 0; i < times; ++i) {
            outcome o;
            b.async_receive(asio::buffer(in), into(o));
            loop.run();
            BOOST_TEST(o == failed(error::eof));
        }
        outcome nothing;
        b.async_receive(asio::buffer(in, 0), into(nothing));
        loop.run();
        BOOST_TEST(nothing == done());
    });
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4];
        std::array<asio::mutable_buffer, 2> two{asio::buffer(in, 1), asio::buffer(in + 1, 1)};
        outcome o;
        b.async_receive(two, into(o));
        loop.poll();
        a.close();
        loop.run();
        BOOST_TEST(o == failed(error::eof));
    });
}

RUNG_RIVAL_CASE(a_waiting_receive_ends_when_its_peer_shuts_down) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4];
        outcome peer_shut_down;
        b.async_receive(asio::buffer(in), into(peer_shut_down));
        loop.poll();
        a.shutdown(a.shutdown_both);
        loop.run();
        BOOST_TEST(peer_shut_down == failed(error::eof));
    });
}

RUNG_RIVAL_CASE(a_waiting_receive_ends_when_its_own_socket_shuts_down) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4];
        outcome o;
        b.async_receive(asio::buffer(in), into(o));
        loop.poll();
        b.shutdown(b.shutdown_receive);
        loop.run();
        BOOST_TEST(o == failed(error::eof));
        BOOST_TEST(a.is_open());
    });
}

RUNG_RIVAL_CASE(a_composed_read_gives_what_came_before_the_end) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[8];
        outcome o;
        asio::async_read(b, asio::buffer(in), into(o));
        loop.poll();
        a.send(asio::buffer("abc", 3));
        loop.poll();
        a.close();
        loop.run();
        BOOST_TEST(o == failed(error::eof, 3));
    });
}

RUNG_RIVAL_CASE(a_send_to_a_closed_peer_is_a_broken_pipe_without_a_signal) {
    over_every_transport(loop, [&](auto a, auto b) {
        b.close();
        outcome o;
        // The first send over TCP may succeed: it is what makes the peer answer with a reset.
        for (int i = 0; i < 1000 && !o.ec; ++i) {
            o = {};
            a.async_send(asio::buffer("x", 1), into(o));
            loop.run();
        }
        BOOST_TEST((o == failed(error::broken_pipe) || o == failed(error::connection_reset)));
        o = {};
        std::array<asio::const_buffer, 2> two{asio::buffer("x", 1), asio::buffer("y", 1)};
        a.async_send(two, into(o));
        loop.run();
        BOOST_TEST(o == failed(error::broken_pipe));
    });
}

RUNG_RIVAL_CASE(a_waiting_send_ends_when_its_peer_goes_away) {
    over_every_transport(loop, [&](auto a, auto b) {
        const std::string much(20'000'000, 'x');
        outcome o;
        asio::async_write(a, asio::buffer(much), into(o));
        loop.poll();
        BOOST_TEST(o == outcome{});
        b.close();
        loop.run();
        BOOST_TEST(o.calls == 1);
        BOOST_TEST((o.ec == error::broken_pipe || o.ec == error::connection_reset));
        BOOST_TEST(o.count < much.size());
    });
}

RUNG_RIVAL_CASE(a_reset_ends_a_waiting_receive_and_a_wait) {
    for (const asio::ip::address& address : loopbacks()) {
        auto [a, b] = tcp_pair(loop, address);
        char in[4];
        outcome received;
        b.async_receive(asio::buffer(in), into(received));
        loop.poll();
        reset(a);
        loop.run();
        BOOST_TEST(received == failed(error::connection_reset));

        auto [c, d] = tcp_pair(loop, address);
        std::array<outcome, 3> waits;
        d.async_wait(d.wait_read, into(waits[0]));
        d.async_wait(d.wait_error, into(waits[1]));
        loop.poll();
        reset(c);
        loop.run();
        BOOST_TEST(waits[0] == done());
        BOOST_TEST(waits[1] == done());
        d.async_receive(asio::buffer(in), into(waits[2]));
        loop.run();
        BOOST_TEST(waits[2] == failed(error::connection_reset));
    }
}

RUNG_RIVAL_CASE(a_peer_that_is_killed_ends_the_stream) {
    auto acceptor = listener(loop);
    doomed_process peer(acceptor.local_endpoint().port());
    auto s = acceptor.accept();
    char in[4];
    outcome first;
    s.async_receive(asio::buffer(in), into(first));
    loop.run();
    BOOST_TEST(first == done(1));
    outcome last;
    s.async_receive(asio::buffer(in), into(last));
    loop.poll();
    BOOST_TEST(last == outcome{});
    peer.kill();
    loop.run();
    BOOST_TEST(last == failed(error::eof));
}

RUNG_RIVAL_CASE(a_connect_succeeds_opens_its_socket_and_is_refused) {
    for (const asio::ip::address& address : loopbacks()) {
        auto acceptor = listener(loop, address);
        const tcp::endpoint there = acceptor.local_endpoint();
        typename Loop::tcp_socket s(loop.context());
        outcome o;
        s.async_connect(there, into(o));
        BOOST_TEST(s.is_open());
        loop.run();
        BOOST_TEST(o == done());
        BOOST_TEST(s.remote_endpoint() == there);

        typename Loop::tcp_socket connected(loop.context());
        connected.connect(there);
        outcome again;
        connected.async_connect(there, into(again));
        loop.run();
        BOOST_TEST(again == failed(error::already_connected));

        acceptor.close();
        typename Loop::tcp_socket refused(loop.context());
        outcome r;
        refused.async_connect(there, into(r));
        loop.run();
        BOOST_TEST(r == failed(error::connection_refused));
    }
}

RUNG_RIVAL_CASE(a_connect_in_native_non_blocking_mode_waits_for_the_connection) {
    auto acceptor = listener(loop);
    const tcp::endpoint there = acceptor.local_endpoint();
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    s.native_non_blocking(true);
    outcome o;
    s.async_connect(there, into(o));
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST(s.remote_endpoint() == there);

    acceptor.close();
    typename Loop::tcp_socket refused(loop.context(), tcp::v4());
    refused.non_blocking(true);
    outcome r;
    refused.async_connect(there, into(r));
    loop.run();
    BOOST_TEST(r == failed(error::connection_refused));
}

RUNG_RIVAL_CASE(a_connect_that_cannot_begin_says_why) {
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    outcome o;
    s.async_connect(tcp::endpoint(asio::ip::address_v6::loopback(), 9), into(o));
    loop.run();
    BOOST_TEST(o == failed(error::address_family_not_supported));

    typename Loop::local_socket l(loop.context());
    outcome no_file;
    l.async_connect(local_stream::endpoint("/nonexistent/socket"), into(no_file));
    loop.run();
    BOOST_TEST(no_file == failed(error_code(ENOENT, boost::system::system_category())));
}

RUNG_RIVAL_CASE(a_second_connect_while_one_is_in_flight_is_refused) {
    const deaf_port port;
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    outcome first;
    outcome second;
    s.async_connect(port.endpoint(), into(first));
    loop.poll();
    s.async_connect(port.endpoint(), into(second));
    for (int i = 0; i < 100 && second.calls == 0; ++i) {
        loop.poll();
    }
    BOOST_TEST(first == outcome{});
    BOOST_TEST(second == failed(error::already_started));
    s.close();
    loop.run();
    BOOST_TEST(first == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(a_composed_connect_takes_the_endpoint_that_answers) {
    auto dead = listener(loop);
    auto alive = listener(loop);
    const std::vector<tcp::endpoint> endpoints{dead.local_endpoint(), alive.local_endpoint()};
    dead.close();
    typename Loop::tcp_socket s(loop.context());
    outcome o;
    tcp::endpoint chosen;
    asio::async_connect(s, endpoints, [&](error_code ec, const tcp::endpoint& e) {
        into(o)(ec);
        chosen = e;
    });
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST(chosen == endpoints[1]);
}

RUNG_RIVAL_CASE(a_receive_on_an_unconnected_socket_fails) {
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    char byte = 0;
    outcome received;
    outcome sent;
    s.async_receive(asio::buffer(&byte, 1), into(received));
    s.async_send(asio::buffer(&byte, 1), into(sent));
    loop.run();
    BOOST_TEST(received == failed(error::not_connected));
    BOOST_TEST(sent == failed(error::broken_pipe));
}

RUNG_RIVAL_CASE(a_file_can_be_assigned_but_is_no_socket) {
    typename Loop::local_socket s(loop.context());
    s.assign(local_stream(), ::open("/dev/zero", O_RDWR | O_CLOEXEC));
    char byte = 0;
    outcome received;
    outcome sent;
    s.async_receive(asio::buffer(&byte, 1), into(received));
    s.async_send(asio::buffer(&byte, 1), into(sent));
    loop.run();
    BOOST_TEST(received == failed(error::not_socket));
    BOOST_TEST(sent == failed(error::not_socket));
    error_code ec;
    s.receive(asio::buffer(&byte, 1), 0, ec);
    BOOST_TEST(ec == error_code(error::not_socket));
}

RUNG_RIVAL_CASE(a_buffer_outside_of_memory_is_a_fault) {
    auto [a, b] = local_pair(loop);
    void* const nowhere = reinterpret_cast<void*>(std::uintptr_t{8});
    outcome sent;
    a.async_send(asio::const_buffer(nowhere, 100), into(sent));
    loop.run();
    BOOST_TEST(sent == failed(error::fault));
    outcome received;
    b.async_receive(asio::mutable_buffer(nowhere, 100), into(received));
    loop.poll();
    a.send(asio::buffer("x", 1));
    loop.run();
    BOOST_TEST(received == failed(error::fault));
}

}  // namespace
