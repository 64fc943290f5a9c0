// Sequenced packets: a connection whose messages keep their bounds, over local sockets.

#include <boost/asio/basic_seq_packet_socket.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

using protocol = asio::generic::seq_packet_protocol;
template <class Loop>
using packet_socket = asio::basic_seq_packet_socket<protocol, typename Loop::executor_type>;

template <class Loop>
auto packet_pair(Loop& l) {
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    const protocol local(AF_UNIX, 0);
    return std::pair(packet_socket<Loop>(l.context(), local, ends[0]),
                     packet_socket<Loop>(l.context(), local, ends[1]));
}

RUNG_RIVAL_CASE(packets_keep_their_bounds_and_tell_their_flags) {
    auto [a, b] = packet_pair(loop);
    char in[8] = {};
    int flags = -1;
    outcome waited;
    b.async_receive(asio::buffer(in), flags, into(waited));
    loop.poll();
    BOOST_TEST(waited == outcome{});
    outcome sent[2];
    const std::array<asio::const_buffer, 2> two{asio::buffer("ab", 2), asio::buffer("cd", 2)};
    a.async_send(asio::buffer("hello", 5), 0, into(sent[0]));
    a.async_send(two, 0, into(sent[1]));
    loop.run();
    BOOST_TEST(sent[0] == done(5));
    BOOST_TEST(sent[1] == done(4));
    BOOST_TEST(waited == done(5));
    BOOST_TEST(std::string(in, 5) == "hello");
    BOOST_TEST((flags & MSG_TRUNC) == 0);

    char one = 0;
    char other = 0;
    const std::array<asio::mutable_buffer, 2> small{asio::buffer(&one, 1), asio::buffer(&other, 1)};
    outcome cut;
    b.async_receive(small, flags, into(cut));
    loop.run();
    BOOST_TEST(cut == done(2));
    BOOST_TEST((flags & MSG_TRUNC) != 0);
    BOOST_TEST(one == 'a');
    BOOST_TEST(other == 'b');
}

RUNG_RIVAL_CASE(flags_may_be_asked_for) {
    auto [a, b] = packet_pair(loop);
    a.send(asio::buffer("abc", 3), 0);
    char in[8];
    int flags = -1;
    outcome peeked;
    b.async_receive(asio::buffer(in), b.message_peek, flags, into(peeked));
    loop.run();
    BOOST_TEST(peeked == done(3));
    outcome taken;
    b.async_receive(asio::buffer(in), flags, into(taken));
    loop.run();
    BOOST_TEST(taken == done(3));
}

RUNG_RIVAL_CASE(the_end_of_a_connection_is_an_empty_packet) {
    auto [a, b] = packet_pair(loop);
    char in[8];
    int flags = -1;
    outcome ended;
    b.async_receive(asio::buffer(in), flags, into(ended));
    loop.poll();
    a.close();
    loop.run();
    BOOST_TEST(ended == done(0));
    outcome broken;
    b.async_send(asio::buffer("abc", 3), 0, into(broken));
    loop.run();
    BOOST_TEST(broken == failed(error::broken_pipe));
}

RUNG_RIVAL_CASE(a_receive_ends_with_cancel_close_or_its_slot) {
    for (const int how : {0, 1, 2}) {
        auto [a, b] = packet_pair(loop);
        asio::cancellation_signal signal;
        char in[8];
        int flags = -1;
        outcome ended;
        b.async_receive(asio::buffer(in), flags,
                        asio::bind_cancellation_slot(signal.slot(), into(ended)));
        loop.poll();
        if (how == 0) {
            b.cancel();
        } else if (how == 1) {
            b.close();
        } else {
            signal.emit(asio::cancellation_type::partial);
        }
        loop.run();
        BOOST_TEST(ended == failed(error::operation_aborted));
        BOOST_TEST(flags == 0);
    }
}

RUNG_RIVAL_CASE(a_packet_socket_may_move_and_be_destroyed_with_a_receive_in_flight) {
    auto [a, b] = packet_pair(loop);
    char in[8];
    int flags = -1;
    outcome received;
    b.async_receive(asio::buffer(in), flags, into(received));
    loop.poll();
    auto moved = std::make_unique<packet_socket<Loop>>(std::move(b));
    a.send(asio::buffer("abc", 3), 0);
    loop.run();
    BOOST_TEST(received == done(3));
    outcome ended;
    moved->async_receive(asio::buffer(in), flags, into(ended));
    loop.poll();
    moved.reset();
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(packets_are_accepted_on_a_path) {
    const std::string path = "/tmp/rung_seq_packet_" + std::to_string(::getpid());
    ::unlink(path.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    const protocol local(AF_UNIX, 0);
    const protocol::endpoint here(&address, sizeof address);
    asio::basic_socket_acceptor<protocol, typename Loop::executor_type> acceptor(loop.context());
    acceptor.open(local);
    acceptor.bind(here);
    acceptor.listen();
    packet_socket<Loop> client(loop.context());
    packet_socket<Loop> server(loop.context());
    client.open(local);
    outcome accepted;
    outcome connected;
    acceptor.async_accept(server, into(accepted));
    client.async_connect(here, into(connected));
    loop.run();
    BOOST_TEST(accepted == done());
    BOOST_TEST(connected == done());
    client.send(asio::buffer("abc", 3), 0);
    char in[8];
    int flags = -1;
    BOOST_TEST(server.receive(asio::buffer(in), flags) == 3U);
    ::unlink(path.c_str());
}

}  // namespace
