// Acceptors: every form of accept, and what goes wrong with them.

#include <unistd.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>
#include <set>
#include <vector>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

RUNG_RIVAL_CASE(an_acceptor_opens_binds_and_listens_step_by_step) {
    for (const asio::ip::address& address : loopbacks()) {
        typename Loop::tcp_acceptor acceptor(loop.context());
        const tcp::endpoint any(address, 0);
        error_code ec;
        acceptor.listen(1, ec);
        BOOST_TEST(ec == error_code(error::bad_descriptor));
        acceptor.open(any.protocol());
        acceptor.open(any.protocol(), ec);
        BOOST_TEST(ec == error_code(error::already_open));
        acceptor.set_option(tcp::acceptor::reuse_address(true));
        tcp::acceptor::reuse_address reuse;
        acceptor.get_option(reuse);
        BOOST_TEST(reuse.value());
        acceptor.accept(ec);
        BOOST_TEST(ec == error_code(error::invalid_argument));  // it does not listen yet
        acceptor.bind(any);
        acceptor.listen();
        BOOST_TEST(acceptor.local_endpoint().address() == address);
        BOOST_TEST(acceptor.local_endpoint().port() != 0);

        typename Loop::tcp_acceptor second(loop.context(), any.protocol());
        second.bind(acceptor.local_endpoint(), ec);
        BOOST_TEST(ec == error_code(error::address_in_use));
    }
}

RUNG_RIVAL_CASE(every_member_of_a_closed_acceptor_says_so) {
    typename Loop::tcp_acceptor acceptor(loop.context());
    typename Loop::tcp_socket s(loop.context());
    error_code ec;
    const auto is_bad = [&] { return ec == error_code(error::bad_descriptor); };
    BOOST_TEST((acceptor.bind({}, ec), is_bad()));
    BOOST_TEST((acceptor.accept(s, ec), is_bad()));
    BOOST_TEST((acceptor.accept(ec), is_bad()));
    BOOST_TEST((acceptor.cancel(ec), is_bad()));
    BOOST_TEST((acceptor.release(ec), is_bad()));
    BOOST_TEST((acceptor.wait(acceptor.wait_read, ec), is_bad()));
    BOOST_TEST((acceptor.local_endpoint(ec), is_bad()));
    BOOST_TEST((acceptor.non_blocking(true, ec), is_bad()));
    BOOST_TEST((acceptor.set_option(tcp::acceptor::reuse_address(true), ec), is_bad()));
    acceptor.close(ec);
    BOOST_TEST(!ec);

    outcome moved;
    outcome into_socket;
    outcome waited;
    acceptor.async_accept(into(moved, s));
    acceptor.async_wait(acceptor.wait_read, into(waited));
    loop.run();
    acceptor.async_accept(s, into(into_socket));
    loop.run();
    BOOST_TEST(moved == failed(error::bad_descriptor));
    BOOST_TEST(into_socket == failed(error::bad_descriptor));
    BOOST_TEST(waited == failed(error::bad_descriptor));
    BOOST_TEST(!s.is_open());
}

RUNG_RIVAL_CASE(the_synchronous_forms_accept_one_connection_each) {
    auto acceptor = listener(loop);
    const tcp::endpoint there = acceptor.local_endpoint();
    std::vector<typename Loop::tcp_socket> clients;
    std::vector<typename Loop::tcp_socket> servers;
    for (int i = 0; i < 8; ++i) {
        clients.emplace_back(loop.context()).connect(there);
    }
    tcp::endpoint peer;
    error_code ec;
    servers.emplace_back(loop.context());
    acceptor.accept(servers.back());
    servers.emplace_back(loop.context());
    acceptor.accept(servers.back(), peer);
    BOOST_TEST(peer == clients[1].local_endpoint());
    servers.push_back(acceptor.accept());
    servers.push_back(acceptor.accept(ec));
    servers.push_back(acceptor.accept(loop.context()));
    servers.push_back(acceptor.accept(loop.executor(), ec));
    servers.push_back(acceptor.accept(peer));
    BOOST_TEST(peer == clients[6].local_endpoint());
    servers.push_back(acceptor.accept(loop.context(), peer, ec));
    BOOST_TEST(peer == clients[7].local_endpoint());
    for (std::size_t i = 0; i < servers.size(); ++i) {
        BOOST_TEST(servers[i].remote_endpoint() == clients[i].local_endpoint());
    }
    acceptor.accept(servers[0], ec);
    BOOST_TEST(ec == error_code(error::already_open));
    acceptor.non_blocking(true);
    BOOST_TEST(acceptor.non_blocking());
    acceptor.accept(ec);
    BOOST_TEST(ec == error_code(error::would_block));
}

RUNG_RIVAL_CASE(the_asynchronous_forms_accept_one_connection_each) {
    for (const asio::ip::address& address : loopbacks()) {
        auto acceptor = listener(loop, address);
        using socket = typename Loop::tcp_socket;
        std::vector<socket> clients;
        std::vector<socket> servers;
        tcp::endpoint peer;
        const auto check = [&](auto start) {
            for (const bool waits : {false, true}) {
                servers.emplace_back(loop.context());
                outcome o;
                clients.emplace_back(loop.context());
                peer = {};
                if (waits) {
                    start(servers.back(), o);
                    loop.poll();
                    BOOST_TEST(o == outcome{});
                    clients.back().connect(acceptor.local_endpoint());
                } else {
                    clients.back().connect(acceptor.local_endpoint());
                    start(servers.back(), o);
                }
                loop.run();
                BOOST_TEST(o == done());
                BOOST_TEST(servers.back().remote_endpoint() == clients.back().local_endpoint());
                BOOST_TEST((peer == tcp::endpoint() || peer == clients.back().local_endpoint()));
            }
        };
        check([&](socket& s, outcome& o) { acceptor.async_accept(s, into(o)); });
        check([&](socket& s, outcome& o) { acceptor.async_accept(s, peer, into(o)); });
        BOOST_TEST(peer == clients.back().local_endpoint());
        check([&](socket& s, outcome& o) { acceptor.async_accept(into(o, s)); });
        check([&](socket& s, outcome& o) { acceptor.async_accept(peer, into(o, s)); });
        BOOST_TEST(peer == clients.back().local_endpoint());
        check([&](socket& s, outcome& o) { acceptor.async_accept(loop.context(), into(o, s)); });
        check([&](socket& s, outcome& o) {
            acceptor.async_accept(loop.executor(), peer, into(o, s));
        });
        BOOST_TEST(peer == clients.back().local_endpoint());
    }
}

RUNG_RIVAL_CASE(an_open_socket_is_not_accepted_into) {
    auto acceptor = listener(loop);
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    typename Loop::tcp_socket open(loop.context(), tcp::v4());
    const int descriptor = open.native_handle();
    outcome o;
    acceptor.async_accept(open, into(o));
    loop.run();
    BOOST_TEST(o == failed(error::already_open));
    BOOST_TEST(open.native_handle() == descriptor);
    BOOST_TEST(acceptor.accept().is_open());  // the connection is still there
}

RUNG_RIVAL_CASE(a_connection_for_a_socket_that_was_opened_meanwhile_is_closed) {
    auto acceptor = listener(loop);
    typename Loop::tcp_socket peer(loop.context());
    outcome o;
    acceptor.async_accept(peer, into(o));
    loop.poll();
    peer.open(tcp::v4());
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    loop.run();
    BOOST_TEST(o == failed(error::already_open));
    char byte = 0;
    error_code ec;
    client.receive(asio::buffer(&byte, 1), 0, ec);
    BOOST_TEST(ec == error_code(error::eof));
}

RUNG_RIVAL_CASE(an_accept_does_not_wait_in_blocking_style_in_non_blocking_mode) {
    auto acceptor = listener(loop);
    acceptor.non_blocking(true);
    typename Loop::tcp_socket s(loop.context());
    outcome o;
    acceptor.async_accept(s, into(o));
    loop.poll();
    BOOST_TEST(o == outcome{});
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST(s.is_open());
}

RUNG_RIVAL_CASE(accepts_in_flight_take_one_connection_each) {
    auto acceptor = listener(loop);
    constexpr std::size_t n = 50;
    std::vector<outcome> outcomes(n);
    std::vector<typename Loop::tcp_socket> servers;
    std::vector<typename Loop::tcp_socket> clients;
    for (std::size_t i = 0; i < n; ++i) {
        servers.emplace_back(loop.context());
        clients.emplace_back(loop.context());
    }
    for (std::size_t i = 0; i < n; ++i) {
        acceptor.async_accept(servers[i], into(outcomes[i]));
    }
    loop.poll();
    std::vector<outcome> connects(n);
    for (std::size_t i = 0; i < n; ++i) {
        clients[i].async_connect(acceptor.local_endpoint(), into(connects[i]));
    }
    loop.run();
    std::set<tcp::endpoint> from;
    std::set<tcp::endpoint> to;
    for (std::size_t i = 0; i < n; ++i) {
        BOOST_TEST(outcomes[i] == done());
        BOOST_TEST(connects[i] == done());
        from.insert(clients[i].local_endpoint());
        to.insert(servers[i].remote_endpoint());
    }
    BOOST_TEST((from == to));
}

RUNG_RIVAL_CASE(a_wait_tells_of_a_connection_and_leaves_it) {
    auto acceptor = listener(loop);
    outcome o;
    acceptor.async_wait(acceptor.wait_read, into(o));
    loop.poll();
    BOOST_TEST(o == outcome{});
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    loop.run();
    BOOST_TEST(o == done());
    acceptor.wait(acceptor.wait_read);
    BOOST_TEST(acceptor.accept().is_open());
}

RUNG_RIVAL_CASE(cancel_ends_every_accept_and_the_acceptor_goes_on) {
    auto acceptor = listener(loop);
    typename Loop::tcp_socket s(loop.context());
    typename Loop::tcp_socket t(loop.context());
    std::array<outcome, 4> o;
    acceptor.async_accept(s, into(o[0]));
    acceptor.async_accept(into(o[1], t));
    loop.poll();
    acceptor.async_wait(acceptor.wait_read, into(o[2]));
    acceptor.cancel();
    loop.run();
    BOOST_TEST(o[0] == failed(error::operation_aborted));
    BOOST_TEST(o[1] == failed(error::operation_aborted));
    BOOST_TEST(o[2] == failed(error::operation_aborted));
    BOOST_TEST(!s.is_open());
    BOOST_TEST(!t.is_open());
    acceptor.async_accept(s, into(o[3]));
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    loop.run();
    BOOST_TEST(o[3] == done());
}

RUNG_RIVAL_CASE(an_accept_in_flight_follows_an_acceptor_that_is_moved) {
    auto acceptor = listener(loop);
    const tcp::endpoint there = acceptor.local_endpoint();
    typename Loop::tcp_socket s(loop.context());
    outcome o;
    acceptor.async_accept(s, into(o));
    loop.poll();
    typename Loop::tcp_acceptor constructed(std::move(acceptor));
    BOOST_TEST(!acceptor.is_open());
    auto assigned = listener(loop);
    outcome aborted;
    typename Loop::tcp_socket none(loop.context());
    assigned.async_accept(none, into(aborted));
    assigned = std::move(constructed);
    typename Loop::template acceptor_of<asio::generic::stream_protocol> general(
        std::move(assigned));
    typename Loop::tcp_socket client(loop.context());
    client.connect(there);
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST(s.is_open());
    BOOST_TEST(aborted == failed(error::operation_aborted));
    BOOST_TEST(general.is_open());
}

RUNG_RIVAL_CASE(accepted_sockets_may_have_another_executor) {
    auto acceptor = listener(loop);
    const auto strand = asio::make_strand(loop.executor());
    using strand_socket = asio::basic_stream_socket<tcp, std::decay_t<decltype(strand)>>;
    strand_socket served(strand);
    outcome o;
    acceptor.async_accept(strand, into(o, served));
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST((served.get_executor() == strand));
    bool inside = false;
    served.async_send(asio::buffer("x", 1), [&](error_code ec, std::size_t n) {
        inside = strand.running_in_this_thread();
        into(o)(ec, n);
    });
    loop.run();
    BOOST_TEST(inside);
    BOOST_TEST(o.calls == 2);

    asio::io_context elsewhere;
    tcp::socket stock(elsewhere);
    outcome accepted;
    acceptor.async_accept(stock, into(accepted));
    client.close();
    client.connect(acceptor.local_endpoint());
    loop.run();
    BOOST_TEST(accepted == done());
    BOOST_TEST(stock.remote_endpoint() == client.local_endpoint());
}

RUNG_RIVAL_CASE(local_stream_acceptors_accept_too) {
    const std::string path = "/tmp/rung-test-" + std::to_string(::getpid());
    ::unlink(path.c_str());
    {
        typename Loop::template acceptor_of<local_stream> acceptor(loop.context(),
                                                                   local_stream::endpoint(path));
        typename Loop::local_socket client(loop.context());
        typename Loop::local_socket server(loop.context());
        local_stream::endpoint peer;
        outcome accepted;
        outcome connected;
        acceptor.async_accept(server, peer, into(accepted));
        client.async_connect(local_stream::endpoint(path), into(connected));
        loop.run();
        BOOST_TEST(accepted == done());
        BOOST_TEST(connected == done());
        BOOST_TEST(peer.path().empty());
        BOOST_TEST(server.local_endpoint().path() == path);
    }
    ::unlink(path.c_str());
}

RUNG_RIVAL_CASE(accepts_that_a_slot_may_cancel_end_in_order) {
    if (loop.threads() != 1) {
        return;
    }
    typename Loop::tcp_acceptor acceptor(loop.context(), {asio::ip::address_v4::loopback(), 0});
    std::array<asio::cancellation_signal, 4> signals;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < signals.size(); ++i) {
        acceptor.async_accept(asio::bind_cancellation_slot(
            signals[i].slot(), [&order, i](error_code ec, typename Loop::tcp_socket peer) {
                BOOST_TEST(peer.is_open() == !ec);
                order.push_back(i);
            }));
    }
    loop.poll();
    signals[1].emit(asio::cancellation_type::total);
    loop.poll();
    std::vector<typename Loop::tcp_socket> clients;
    for (int i = 0; i < 3; ++i) {
        clients.emplace_back(loop.context()).connect(acceptor.local_endpoint());
        loop.poll();
    }
    loop.run();
    BOOST_TEST(order == (std::vector<std::size_t>{1, 0, 2, 3}), boost::test_tools::per_element());
}

}  // namespace
