/// What others see of an operation, they see when its initiating function has returned: whether or
/// not a loop runs, and on whichever thread. Its handler waits for the loop.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <cstdio>
#include <deque>

#include "at_rest.hpp"
#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using asio::ip::udp;

namespace {

/// Calls `f` on this thread with no loop running, on another thread, and in a handler.
template <class Loop, class F>
void in_every_place(Loop& loop, F f) {
    BOOST_TEST_CONTEXT("no loop runs") { f(); }
    loop.run();
    BOOST_TEST_CONTEXT("on another thread") { std::thread(f).join(); }
    loop.run();
    BOOST_TEST_CONTEXT("in a handler") {
        asio::post(loop.context(), f);
        loop.run();
    }
}

template <class Loop>
using datagram = asio::basic_datagram_socket<udp, typename Loop::executor_type>;
template <class Loop>
using descriptor = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;

udp::endpoint here() { return {asio::ip::address_v4::loopback(), 0}; }

/// A name for a local socket that needs no file.
std::string abstract_name() {
    static int number = 0;
    return std::string(1, '\0') + "rung-test-beginnings-" + std::to_string(::getpid()) + "-" +
           std::to_string(++number);
}

bool is_non_blocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

}  // namespace

RUNG_RIVAL_CASE(a_connection_is_under_way_when_async_connect_returns) {
    for (const bool blocks : {true, false}) {
        auto acceptor = listener(loop);
        std::deque<outcome> connected;
        std::deque<typename Loop::tcp_socket> clients;
        in_every_place(loop, [&] {
            auto& client = clients.emplace_back(loop.context(), tcp::v4());
            set_blocking(client.native_handle(), blocks);
            client.async_connect(acceptor.local_endpoint(), into(connected.emplace_back()));
            typename Loop::tcp_socket peer(loop.context());
            acceptor.accept(peer);  // would wait for ever
            BOOST_TEST(peer.remote_endpoint() == client.local_endpoint());
            if (Loop::ours) {
                BOOST_TEST(is_non_blocking(client.native_handle()) == !blocks);
            }
        });
        for (const outcome& o : connected) {
            BOOST_TEST(o == done());
        }
    }
}

RUNG_RIVAL_CASE(a_local_connection_is_there_when_async_connect_returns) {
    const local_stream::endpoint there(abstract_name());
    typename Loop::template acceptor_of<local_stream> acceptor(loop.context(), there);
    std::deque<outcome> connected;
    std::deque<typename Loop::local_socket> clients;
    in_every_place(loop, [&] {
        clients.emplace_back(loop.context()).async_connect(there, into(connected.emplace_back()));
        typename Loop::local_socket peer(loop.context());
        acceptor.accept(peer);
    });
    for (const outcome& o : connected) {
        BOOST_TEST(o == done());
    }
}

RUNG_RIVAL_CASE(no_handler_runs_within_its_initiating_function) {
    static thread_local bool is_initiating;
    const local_stream::endpoint nobody(abstract_name());
    outcome refused;
    bool within = true;
    typename Loop::local_socket client(loop.context());
    asio::post(loop.context(), [&] {
        is_initiating = true;
        client.async_connect(nobody, [&](error_code e) {
            within = is_initiating;
            into(refused)(e);
        });
        is_initiating = false;
    });
    loop.run();
    BOOST_TEST(refused == failed(error::connection_refused));
    BOOST_TEST(!within);
}

RUNG_RIVAL_CASE(a_datagram_socket_has_its_peer_when_async_connect_returns) {
    datagram<Loop> receiver(loop.context(), here());
    datagram<Loop> sender(loop.context(), udp::v4());
    outcome connected;
    sender.async_connect(receiver.local_endpoint(), into(connected));
    BOOST_TEST(sender.remote_endpoint() == receiver.local_endpoint());
    BOOST_TEST(connected == outcome{});
    loop.run();
    BOOST_TEST(connected == done());
}

RUNG_RIVAL_CASE(what_is_sent_is_there_when_its_function_returns) {
    std::deque<std::pair<typename Loop::local_socket, typename Loop::local_socket>> pairs;
    std::deque<outcome> sent;
    in_every_place(loop, [&] {
        auto& [a, b] = pairs.emplace_back(local_pair(loop));
        const std::array<asio::const_buffer, 2> two{asio::buffer("cd", 2), asio::buffer("ef", 2)};
        a.async_send(asio::buffer("ab", 2), into(sent.emplace_back()));
        a.async_send(two, into(sent.emplace_back()));
        char in[16] = {};
        BOOST_TEST(b.receive(asio::buffer(in)) == 6U);
        BOOST_TEST(std::string(in) == "abcdef");
    });
    for (std::size_t i = 0; i < sent.size(); ++i) {
        BOOST_TEST(sent[i] == done(i % 2 == 0 ? 2 : 4));
    }
}

RUNG_RIVAL_CASE(what_is_sent_to_an_address_or_written_is_there_as_well) {
    datagram<Loop> receiver(loop.context(), here());
    datagram<Loop> sender(loop.context(), udp::v4());
    outcome sent;
    sender.async_send_to(asio::buffer("abc", 3), receiver.local_endpoint(), into(sent));
    char in[8];
    BOOST_TEST(receiver.receive(asio::buffer(in)) == 3U);
    asio::basic_readable_pipe<typename Loop::executor_type> r(loop.context());
    asio::basic_writable_pipe<typename Loop::executor_type> w(loop.context());
    asio::connect_pipe(r, w);
    outcome written;
    w.async_write_some(asio::buffer("abcd", 4), into(written));
    BOOST_TEST(r.read_some(asio::buffer(in)) == 4U);
    std::FILE* const file = std::tmpfile();
    descriptor<Loop> d(loop.context(), ::dup(::fileno(file)));
    outcome stored;
    d.async_write_some(asio::buffer("abcde", 5), into(stored));
    BOOST_TEST(::pread(::fileno(file), in, sizeof in, 0) == 5);
    loop.run();
    BOOST_TEST(sent == done(3));
    BOOST_TEST(written == done(4));
    BOOST_TEST(stored == done(5));
    std::fclose(file);
}

RUNG_RIVAL_CASE(a_send_is_made_at_once_however_many_had_to_wait) {
    auto [a, b] = local_pair(loop);
    for (int i = 0; i < 20; ++i) {
        fill(a.native_handle());
        outcome waited;
        a.async_send(asio::buffer("x", 1), into(waited));
        loop.poll();
        BOOST_TEST(waited == outcome{});
        drain(b.native_handle(), 1 << 24);
        loop.run();
        BOOST_TEST(waited == done(1));
        drain(b.native_handle(), 1 << 24);
    }
    outcome sent;
    a.async_send(asio::buffer("y", 1), into(sent));
    BOOST_TEST(drain(b.native_handle(), 1) == 1U);
    loop.run();
    BOOST_TEST(sent == done(1));
}

RUNG_RIVAL_CASE(a_connect_under_way_is_cancelled_and_closed) {
    const deaf_port deaf;
    for (const bool closes : {false, true}) {
        typename Loop::tcp_socket client(loop.context(), tcp::v4());
        outcome connected;
        client.async_connect(deaf.endpoint(), into(connected));
        loop.poll();
        BOOST_TEST(connected == outcome{});
        if (closes) {
            client.close();
        } else {
            client.cancel();
        }
        loop.run();
        BOOST_TEST(connected == failed(error::operation_aborted));
    }
}

// Stock reports a connection that there is not.
BOOST_AUTO_TEST_CASE(a_local_connect_waits_for_room_in_the_backlog) {
    on_ours([](auto& loop) {
        using own = std::remove_reference_t<decltype(loop)>;
        for (const bool blocks : {true, false}) {
            typename own::template acceptor_of<local_stream> acceptor(loop.context());
            const local_stream::endpoint there(abstract_name());
            acceptor.open();
            acceptor.bind(there);
            acceptor.listen(0);
            std::deque<typename own::local_socket> clients;
            std::deque<outcome> connected;
            for (int i = 0; i < 4; ++i) {
                auto& client = clients.emplace_back(loop.context());
                client.open();
                set_blocking(client.native_handle(), blocks);
                client.async_connect(there, into(connected.emplace_back()));
            }
            if (loop.threads() == 1) {
                check_rest(loop, connected.back());
            }
            clients[2].cancel();
            clients[3].close();
            for (std::size_t i = 0; i < 2; ++i) {
                typename own::local_socket peer = acceptor.accept();
                loop.run();
                BOOST_TEST(clients[i].write_some(asio::buffer("x", 1)) == 1U);
            }
            BOOST_TEST(connected[0] == done());
            BOOST_TEST(connected[1] == done());
            BOOST_TEST(connected[2] == failed(error::operation_aborted));
            BOOST_TEST(connected[3] == failed(error::operation_aborted));
        }
    });
}
