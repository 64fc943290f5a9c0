// Objects that go from one context to another, with what is under way on them.

#include <sys/eventfd.h>

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using asio::ip::udp;

namespace {

/// Runs another context until it is out of work.
template <class Context>
void run_to_end(Context& c) {
    const watchdog guard([&c] { c.stop(); });
    c.restart();
    c.run();
    BOOST_REQUIRE(!guard.expired());
}

RUNG_RIVAL_CASE(a_socket_that_is_assigned_belongs_to_the_other_context) {
    typename Loop::context_type other;
    using socket = asio::basic_datagram_socket<udp, typename Loop::executor_type>;
    const udp::endpoint any(asio::ip::address_v4::loopback(), 0);
    socket here(loop.context(), any);
    socket there(other, any);
    char in[8];
    udp::endpoint sender;
    outcome ended;
    outcome goes_on;
    here.async_receive_from(asio::buffer(in), sender, into(ended));
    there.async_receive_from(asio::buffer(in), sender, into(goes_on));
    loop.poll();
    other.poll();
    here = std::move(there);
    BOOST_TEST(!there.is_open());
    BOOST_TEST((here.get_executor() == other.get_executor()));
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
    BOOST_TEST(goes_on == outcome{});
    socket(loop.context(), any).send_to(asio::buffer("abc", 3), here.local_endpoint());
    run_to_end(other);
    BOOST_TEST(goes_on == done(3));
    here.close();
}

RUNG_RIVAL_CASE(so_does_a_pipe) {
    typename Loop::context_type other;
    using readable = asio::basic_readable_pipe<typename Loop::executor_type>;
    using writable = asio::basic_writable_pipe<typename Loop::executor_type>;
    readable here(loop.context());
    writable unused(loop.context());
    asio::connect_pipe(here, unused);
    readable there(other);
    writable end(other);
    asio::connect_pipe(there, end);
    char in[8];
    outcome ended;
    outcome goes_on;
    here.async_read_some(asio::buffer(in), into(ended));
    there.async_read_some(asio::buffer(in), into(goes_on));
    loop.poll();
    other.poll();
    here = std::move(there);
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
    end.write_some(asio::buffer("abc", 3));
    run_to_end(other);
    BOOST_TEST(goes_on == done(3));
    here.close();
}

RUNG_RIVAL_CASE(and_an_acceptor) {
    typename Loop::context_type other;
    auto here = listener(loop);
    typename Loop::tcp_acceptor there(other, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const tcp::endpoint endpoint = there.local_endpoint();
    outcome ended;
    outcome goes_on;
    typename Loop::tcp_socket unused(loop.context());
    typename Loop::tcp_socket accepted(other);
    here.async_accept(unused, into(ended));
    there.async_accept(accepted, into(goes_on));
    loop.poll();
    other.poll();
    here = std::move(there);
    BOOST_TEST((here.get_executor() == other.get_executor()));
    BOOST_TEST(here.local_endpoint() == endpoint);
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
    typename Loop::tcp_socket client(loop.context());
    client.connect(endpoint);
    run_to_end(other);
    BOOST_TEST(goes_on == done());
    BOOST_TEST(accepted.remote_endpoint() == client.local_endpoint());
    accepted.close();
    here.close();
}

RUNG_RIVAL_CASE(and_a_descriptor) {
    typename Loop::context_type other;
    using descriptor = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;
    descriptor here(loop.context(), ::eventfd(0, 0));
    descriptor there(other, ::eventfd(0, 0));
    std::uint64_t n = 0;
    outcome ended;
    outcome goes_on;
    here.async_wait(here.wait_read, into(ended));
    there.async_read_some(asio::buffer(&n, sizeof n), into(goes_on));
    loop.poll();
    other.poll();
    here = std::move(there);
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
    const std::uint64_t seven = 7;
    here.write_some(asio::buffer(&seven, sizeof seven));
    run_to_end(other);
    BOOST_TEST(goes_on == done(sizeof n));
    BOOST_TEST(n == 7U);
    here.close();
}

RUNG_RIVAL_CASE(and_a_resolver_and_a_timer) {
    typename Loop::context_type other;
    using resolver = asio::ip::basic_resolver<tcp, typename Loop::executor_type>;
    resolver r(loop.context());
    resolver foreign(other);
    outcome found;
    foreign.async_resolve("localhost", "80",
                          [&](error_code ec, const auto& all) { into(found)(ec, all.size() != 0); });
    r = std::move(foreign);
    typename Loop::timer t(loop.context(), std::chrono::hours(1));
    typename Loop::timer s(other, std::chrono::milliseconds(1));
    outcome ended;
    outcome expired;
    t.async_wait(into(ended));
    s.async_wait(into(expired));
    t = std::move(s);
    loop.run();
    BOOST_TEST(ended == failed(error::operation_aborted));
    run_to_end(other);
    BOOST_TEST(expired == done());
    BOOST_TEST(found == done(1));
}

}  // namespace
