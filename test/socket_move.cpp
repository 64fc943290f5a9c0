// Sockets that change their object, their type or their owner while operations are in flight.

#include <unistd.h>

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

RUNG_RIVAL_CASE(operations_in_flight_follow_a_socket_that_is_moved) {
    over_every_transport(loop, [&](auto a, auto b) {
        using stream = decltype(a);
        char in[4];
        outcome received;
        outcome waited;
        b.async_receive(asio::buffer(in), into(received));
        loop.poll();
        b.async_wait(b.wait_write, into(waited));  // not in the kernel yet
        stream constructed(std::move(b));
        BOOST_TEST(!b.is_open());
        BOOST_TEST(constructed.is_open());
        stream assigned(loop.context());
        assigned = std::move(constructed);
        BOOST_TEST(!constructed.is_open());
        BOOST_TEST(assigned.is_open());
        a.send(asio::buffer("abc", 3));
        loop.run();
        BOOST_TEST(received == done(3));
        BOOST_TEST(waited == done());

        outcome cancelled;
        assigned.async_receive(asio::buffer(in), into(cancelled));
        loop.poll();
        stream last(std::move(assigned));
        last.cancel();
        loop.run();
        BOOST_TEST(cancelled == failed(error::operation_aborted));
        BOOST_TEST(last.is_open());
    });
}

RUNG_RIVAL_CASE(a_socket_that_is_assigned_to_closes_first_and_aborts_its_operations) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4];
        outcome aborted;
        outcome received;
        std::string out(30'000'000, 'x');
        outcome sending;
        asio::async_write(a, asio::buffer(out), into(sending));
        a.async_receive(asio::buffer(in), into(aborted));
        loop.poll();
        auto [c, d] = local_pair(loop);
        decltype(a) other(std::move(c));
        other.async_receive(asio::buffer(in), into(received));
        loop.poll();
        a = std::move(other);
        d.send(asio::buffer("abc", 3));
        loop.run();
        BOOST_TEST(aborted == failed(error::operation_aborted));
        BOOST_TEST(sending.ec == error_code(error::operation_aborted));
        BOOST_TEST(received == done(3));
        error_code ec;
        out.resize(1'000'000);
        while (!ec) {
            b.receive(asio::buffer(out), 0, ec);
        }
        BOOST_TEST(ec == error_code(error::eof));
    });
}

RUNG_RIVAL_CASE(a_socket_that_was_moved_from_can_be_opened_again) {
    auto acceptor = listener(loop);
    typename Loop::tcp_socket s(loop.context(), tcp::v4());
    typename Loop::tcp_socket taken(std::move(s));
    outcome o;
    s.async_connect(acceptor.local_endpoint(), into(o));
    loop.run();
    BOOST_TEST(o == done());
    BOOST_TEST(s.native_handle() != taken.native_handle());
    std::swap(s, taken);
    BOOST_TEST(taken.remote_endpoint() == acceptor.local_endpoint());
}

RUNG_RIVAL_CASE(operations_in_flight_follow_a_socket_into_another_protocol) {
    auto [a, b] = tcp_pair(loop);
    char in[4];
    outcome received;
    b.async_receive(asio::buffer(in), into(received));
    loop.poll();
    typename Loop::stream general(std::move(b));
    BOOST_TEST(!b.is_open());
    typename Loop::stream assigned(loop.context());
    assigned = typename Loop::tcp_socket(std::move(a));
    assigned.send(asio::buffer("abc", 3));
    loop.run();
    BOOST_TEST(received == done(3));
    BOOST_TEST(general.local_endpoint().protocol().family() == AF_INET);
}

RUNG_RIVAL_CASE(a_socket_turns_into_one_with_a_default_token_and_back) {
    using executor = typename Loop::executor_type;
    using token = asio::use_awaitable_t<executor>;
    using awaited = typename token::template as_default_on_t<typename Loop::tcp_socket>;
    auto [a, b] = tcp_pair(loop);
    char first[4];
    outcome received;
    b.async_receive(asio::buffer(first), into(received));
    loop.poll();
    awaited waiting(std::move(b));
    std::string got;
    asio::co_spawn(
        loop.executor(),
        [&]() -> asio::awaitable<void, executor> {
            char in[4];
            const std::size_t n = co_await waiting.async_receive(asio::buffer(in));
            got.assign(in, n);
        },
        asio::detached);
    loop.poll();
    a.send(asio::buffer("abc", 3));
    while (received.calls == 0) {
        loop.poll();
    }
    a.send(asio::buffer("de", 2));
    loop.run();
    BOOST_TEST(received == done(3));
    BOOST_TEST(got == "de");
    typename Loop::tcp_socket back(std::move(waiting));
    BOOST_TEST(back.is_open());
}

RUNG_RIVAL_CASE(a_socket_over_a_strand_runs_its_handlers_there) {
    using strand = asio::strand<typename Loop::executor_type>;
    using stream = asio::basic_stream_socket<local_stream, strand>;
    const strand at = asio::make_strand(loop.executor());
    stream a(at);
    stream b(at);
    asio::local::connect_pair(a, b);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<int> outside{0};
    std::atomic<int> calls{0};
    const auto check = [&](error_code, std::size_t) {
        most = std::max<int>(most, ++inside);
        outside += at.running_in_this_thread() ? 0 : 1;
        std::this_thread::yield();
        --inside;
        ++calls;
    };
    char in[100];
    for (int i = 0; i < 100; ++i) {
        b.async_receive(asio::buffer(&in[i], 1), check);
        a.async_send(asio::buffer("x", 1), check);
    }
    loop.run();
    BOOST_TEST(calls == 200);
    BOOST_TEST(most == 1);
    BOOST_TEST(outside == 0);
    stream moved(std::move(a));
    BOOST_TEST(moved.is_open());
}

RUNG_RIVAL_CASE(a_released_descriptor_lives_on_without_its_operations) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4] = {};
        outcome received;
        outcome waited;
        b.async_receive(asio::buffer(in), into(received));
        loop.poll();
        b.async_wait(b.wait_read, into(waited));
        const auto protocol = b.local_endpoint().protocol();
        const int descriptor = b.release();
        BOOST_TEST(!b.is_open());
        a.send(asio::buffer("abc", 3));  // for whoever has the descriptor now
        loop.run();
        BOOST_TEST(received == failed(error::operation_aborted));
        BOOST_TEST(waited == failed(error::operation_aborted));
        decltype(b) owner(loop.context(), protocol, descriptor);
        outcome again;
        owner.async_receive(asio::buffer(in), into(again));
        loop.run();
        BOOST_TEST(again == done(3));
        BOOST_TEST(std::string(in, 3) == "abc");
        error_code ec;
        BOOST_TEST(b.release(ec) == -1);
        BOOST_TEST(ec == error_code(error::bad_descriptor));
    });
}

RUNG_RIVAL_CASE(a_destroyed_socket_aborts_its_operations) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4];
        std::array<outcome, 4> o;
        {
            auto dying = std::move(b);
            dying.async_receive(asio::buffer(in, 1), into(o[0]));
            dying.async_receive(asio::buffer(in, 1), into(o[1]));
            loop.poll();
            dying.async_wait(dying.wait_error, into(o[2]));
            dying.async_receive(asio::buffer(in, 1), into(o[3]));
        }
        loop.run();
        for (const outcome& one : o) {
            BOOST_TEST(one == failed(error::operation_aborted));
        }
        error_code ec;
        BOOST_TEST(a.receive(asio::buffer(in), 0, ec) == 0U);
        BOOST_TEST(ec == error_code(error::eof));
    });
}

RUNG_RIVAL_CASE(operations_go_on_when_the_thread_that_ran_the_loop_ends) {
    auto [a, b] = local_pair(loop);
    auto acceptor = listener(loop);
    const deaf_port port;
    typename Loop::tcp_socket connecting(loop.context(), tcp::v4());
    typename Loop::tcp_socket server(loop.context());
    typename Loop::timer timer(loop.context(), std::chrono::milliseconds(8));
    char in[4];
    std::array<outcome, 5> o;
    b.async_receive(asio::buffer(in), into(o[0]));
    b.async_wait(b.wait_error, into(o[1]));
    acceptor.async_accept(server, into(o[2]));
    timer.async_wait(into(o[3]));
    connecting.async_connect(port.endpoint(), into(o[4]));
    std::thread([&] { loop.context().run_for(std::chrono::milliseconds(3)); }).join();
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    a.send(asio::buffer("abc", 3));
    loop.context().restart();
    loop.context().run_for(std::chrono::milliseconds(20));
    BOOST_TEST(o[0] == done(3));
    BOOST_TEST(o[1] == outcome{});
    BOOST_TEST(o[2] == done());
    BOOST_TEST(o[3] == done());
    BOOST_TEST(o[4] == outcome{});
    b.cancel();
    connecting.cancel();
    loop.run();
    BOOST_TEST(o[1] == failed(error::operation_aborted));
    BOOST_TEST(o[4] == failed(error::operation_aborted));
}

}  // namespace
