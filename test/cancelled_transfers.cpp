// What a cancellation slot cancels has taken nothing and sent nothing, whatever the kernel has ready:
// the awaitable operators, for one, drop what the loser of a race ends with.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <functional>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using asio::cancellation_type;
using std::chrono::steady_clock;

namespace {

const outcome aborted = failed(error::operation_aborted);

template <class Loop>
using datagram_socket =
    asio::basic_datagram_socket<asio::local::datagram_protocol, typename Loop::executor_type>;
template <class Loop>
using descriptor = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;

void set_non_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

/// Starts an operation, lets the loop see to it, does `meanwhile`, and cancels it.
template <class Loop, class Start, class Meanwhile>
outcome cancelled(Loop& loop, Start start, Meanwhile meanwhile) {
    asio::cancellation_signal signal;
    outcome o;
    start(asio::bind_cancellation_slot(signal.slot(), into(o)));
    loop.poll();
    BOOST_TEST(o.calls == 0);
    meanwhile();
    signal.emit(cancellation_type::total);
    loop.run();
    return o;
}

template <class Loop, class Pair>
void check_receive(Loop& loop, Pair pair) {
    auto& [a, b] = pair;
    std::array<char, 16> in{};
    const outcome o = cancelled(
        loop, [&](auto handler) { b.async_receive(asio::buffer(in), std::move(handler)); },
        [&] {
            a.send(asio::buffer("data", 4));
            pollfd arrived{.fd = b.native_handle(), .events = POLLIN, .revents = 0};
            ::poll(&arrived, 1, 1'000);
        });
    BOOST_TEST(o == aborted);
    BOOST_TEST(b.available() == 4U);
}

}  // namespace

RUNG_RIVAL_CASE(a_cancelled_receive_leaves_the_bytes_in_the_socket) {
    check_receive(loop, local_pair(loop));
    check_receive(loop, tcp_pair(loop));
}

RUNG_RIVAL_CASE(a_cancelled_receive_leaves_the_message_whole) {
    datagram_socket<Loop> a(loop.context());
    datagram_socket<Loop> b(loop.context());
    asio::local::connect_pair(a, b);
    std::array<char, 2> small{};
    asio::local::datagram_protocol::endpoint from;
    const outcome o = cancelled(
        loop,
        [&](auto handler) { b.async_receive_from(asio::buffer(small), from, std::move(handler)); },
        [&] { a.send(asio::buffer("message", 7)); });
    BOOST_TEST(o == aborted);
    std::array<char, 16> in{};
    b.non_blocking(true);
    BOOST_TEST(b.receive(asio::buffer(in)) == 7U);
}

RUNG_RIVAL_CASE(a_cancelled_read_leaves_the_bytes_in_the_pipe) {
    asio::basic_readable_pipe<typename Loop::executor_type> r(loop.context());
    asio::basic_writable_pipe<typename Loop::executor_type> w(loop.context());
    asio::connect_pipe(r, w);
    std::array<char, 16> in{};
    const outcome o = cancelled(
        loop, [&](auto handler) { r.async_read_some(asio::buffer(in), std::move(handler)); },
        [&] { w.write_some(asio::buffer("data", 4)); });
    BOOST_TEST(o == aborted);
    int available = 0;
    ::ioctl(r.native_handle(), FIONREAD, &available);
    BOOST_TEST(available == 4);
}

RUNG_RIVAL_CASE(a_cancelled_read_leaves_a_counter_as_it_is) {
    descriptor<Loop> d(loop.context(), ::eventfd(0, EFD_CLOEXEC));
    std::uint64_t count = 0;
    const outcome o = cancelled(
        loop,
        [&](auto handler) {
            d.async_read_some(asio::buffer(&count, sizeof count), std::move(handler));
        },
        [&] { ::eventfd_write(d.native_handle(), 3); });
    BOOST_TEST(o == aborted);
    eventfd_t left = 0;
    BOOST_TEST(::eventfd_read(d.native_handle(), &left) == 0);
    BOOST_TEST(left == 3U);
}

RUNG_RIVAL_CASE(a_cancelled_accept_leaves_the_connection_to_the_next) {
    typename Loop::tcp_acceptor acceptor(loop.context(), {asio::ip::address_v4::loopback(), 0});
    typename Loop::tcp_socket client(loop.context());
    typename Loop::tcp_socket peer(loop.context());
    const outcome o = cancelled(
        loop, [&](auto handler) { acceptor.async_accept(peer, std::move(handler)); },
        [&] { client.connect(acceptor.local_endpoint()); });
    BOOST_TEST(o == aborted);
    BOOST_TEST(!peer.is_open());
    acceptor.non_blocking(true);
    acceptor.accept(peer);
    BOOST_TEST((peer.remote_endpoint() == client.local_endpoint()));
}

RUNG_RIVAL_CASE(a_cancelled_send_has_sent_nothing) {
    auto [a, b] = local_pair(loop);
    std::array<char, 4096> much{};
    error_code ec;
    a.non_blocking(true);
    b.non_blocking(true);
    while (!ec) {
        a.send(asio::buffer(much), 0, ec);
    }
    const auto drain = [&] {
        error_code e;
        while (!e) {
            b.receive(asio::buffer(much), 0, e);
        }
    };
    const outcome o = cancelled(
        loop, [&](auto handler) { a.async_send(asio::buffer("late", 4), std::move(handler)); },
        drain);
    BOOST_TEST(o == aborted);
    BOOST_TEST(b.receive(asio::buffer(much), 0, ec) == 0U);
    BOOST_TEST(ec == error::would_block);
}

RUNG_RIVAL_CASE(what_is_sent_after_a_cancel_of_the_object_is_not_received) {
    auto [a, b] = local_pair(loop);
    std::array<char, 16> in{};
    outcome o;
    b.async_receive(asio::buffer(in), into(o));
    loop.poll();
    asio::post(loop.executor(), [&] {
        b.cancel();
        a.send(asio::buffer("data", 4));
    });
    loop.run();
    if (loop.threads() == 1) {
        BOOST_TEST(o == aborted);
    }
    BOOST_TEST(o.count + b.available() == 4U);
}

namespace {

/// Receives that race a timer, while a thread sends one byte after the other. The timer's victories
/// drop what the receive has ended with, as the awaitable operators do.
template <class Loop, class Receiver>
class timed_receives {
public:
    timed_receives(Loop& l, Receiver& r, std::size_t most)
        : receiver_(r), timer_(l.context()), most_(most) {}

    void begin() {
        if (rounds == most_ || steady_clock::now() >= end_) {
            stop = true;
            return;
        }
        ++rounds;
        random_ = random_ * 1103515245 + 12345;
        timer_.expires_after(std::chrono::microseconds(random_ / 65536 % 30));
        asio::experimental::make_parallel_group(receiver_.async(asio::buffer(in_)),
                                                timer_.async_wait(asio::deferred))
            .async_wait(
                asio::experimental::wait_for_one(),
                [this](std::array<std::size_t, 2> order, error_code ec, std::size_t n, error_code) {
                    if (order[0] == 0 && !ec) {
                        take(n);
                    } else {
                        ++timeouts;
                    }
                    begin();
                });
    }
    void take(std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) {
            disordered += in_[i] != static_cast<char>(received++) ? 1 : 0;
        }
    }

    std::atomic<bool> stop{false};
    std::size_t rounds = 0;
    std::size_t timeouts = 0;
    std::size_t received = 0;
    std::size_t disordered = 0;

    void take_rest() {
        const int fd = receiver_.object.native_handle();
        set_non_blocking(fd);
        for (ssize_t n = 1; n > 0;) {
            n = ::read(fd, in_.data(), in_.size());
            take(n > 0 ? static_cast<std::size_t>(n) : 0);
        }
    }

private:
    Receiver& receiver_;
    typename Loop::timer timer_;
    std::size_t most_;
    steady_clock::time_point end_ =
        steady_clock::now() + std::chrono::milliseconds(Loop::ours ? 800 : 200);
    unsigned random_ = 1;
    std::array<char, 64> in_{};
};

template <class Socket>
struct socket_receiver {
    Socket& object;
    template <class Buffer>
    auto async(const Buffer& b) {
        return object.async_receive(b, asio::deferred);
    }
};
template <class Pipe>
struct pipe_receiver {
    Pipe& object;
    template <class Buffer>
    auto async(const Buffer& b) {
        return object.async_read_some(b, asio::deferred);
    }
};

template <class Loop, class Receiver, class Send>
void check_race(Loop& loop, Receiver receiver, Send send) {
    if (loop.threads() != 1) {
        return;  // with two threads the timer may win after the receive has, on stock, too
    }
    constexpr std::size_t most = 1'000'000;
    timed_receives<Loop, Receiver> race(loop, receiver, most);
    std::size_t sent = 0;
    std::thread sender([&] {
        unsigned random = 7;
        while (!race.stop) {
            const char c = static_cast<char>(sent);
            sent += send(c) ? 1 : 0;
            random = random * 1103515245 + 12345;
            const auto until = steady_clock::now() + std::chrono::microseconds(random / 65536 % 30);
            while (steady_clock::now() < until) {
            }
        }
    });
    race.begin();
    loop.run();
    race.stop = true;
    sender.join();
    race.take_rest();
    BOOST_TEST(race.rounds >= 10U);
    BOOST_TEST(race.received == sent);
    BOOST_TEST(race.disordered == 0U);
    BOOST_TEST_MESSAGE(race.rounds << " rounds, " << race.timeouts << " timeouts, " << sent
                                   << " sent");
}

template <class Socket>
auto sends_by(Socket& s) {
    return [fd = s.native_handle()](char c) {
        return ::send(fd, &c, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
    };
}

}  // namespace

RUNG_RIVAL_CASE(a_timer_that_wins_against_a_receive_loses_no_byte_of_a_local_stream) {
    auto [a, b] = local_pair(loop);
    check_race(loop, socket_receiver<typename Loop::local_socket>{b}, sends_by(a));
}

RUNG_RIVAL_CASE(nor_of_tcp) {
    auto [a, b] = tcp_pair(loop);
    a.set_option(tcp::no_delay(true));
    check_race(loop, socket_receiver<typename Loop::tcp_socket>{b}, sends_by(a));
}

RUNG_RIVAL_CASE(nor_a_datagram) {
    datagram_socket<Loop> a(loop.context());
    datagram_socket<Loop> b(loop.context());
    asio::local::connect_pair(a, b);
    check_race(loop, socket_receiver<datagram_socket<Loop>>{b}, sends_by(a));
}

RUNG_RIVAL_CASE(nor_of_a_pipe) {
    using pipe = asio::basic_readable_pipe<typename Loop::executor_type>;
    pipe r(loop.context());
    asio::basic_writable_pipe<typename Loop::executor_type> w(loop.context());
    asio::connect_pipe(r, w);
    set_non_blocking(w.native_handle());
    check_race(loop, pipe_receiver<pipe>{r},
               [fd = w.native_handle()](char c) { return ::write(fd, &c, 1) == 1; });
}

RUNG_RIVAL_CASE(nor_a_connection) {
    if (loop.threads() != 1) {
        return;
    }
    using local_acceptor = typename Loop::template acceptor_of<local_stream>;
    const std::string name = std::string(1, '\0') + "rung-cancelled-" + std::to_string(::getpid());
    local_acceptor acceptor(loop.context(), local_stream::endpoint(name));
    typename Loop::timer timer(loop.context());
    constexpr int connections = Loop::ours ? 1'000 : 200;
    int accepted = 0;
    int timeouts = 0;
    std::thread clients([&] {
        asio::io_context ctx;
        for (int i = 0; i < connections; ++i) {
            local_stream::socket s(ctx);
            s.connect(local_stream::endpoint(name));
        }
    });
    typename Loop::local_socket peer(loop.context());
    const auto end = steady_clock::now() + std::chrono::seconds(5);
    unsigned random = 3;
    std::function<void()> begin = [&] {
        if (accepted == connections || steady_clock::now() > end) {
            return;
        }
        random = random * 1103515245 + 12345;
        timer.expires_after(std::chrono::microseconds(random / 65536 % 30));
        asio::experimental::make_parallel_group(acceptor.async_accept(peer, asio::deferred),
                                                timer.async_wait(asio::deferred))
            .async_wait(asio::experimental::wait_for_one(),
                        [&](std::array<std::size_t, 2> order, error_code ec, error_code) {
                            const bool won = order[0] == 0 && !ec;
                            accepted += won ? 1 : 0;
                            timeouts += won ? 0 : 1;
                            peer = typename Loop::local_socket(loop.context());
                            begin();
                        });
    };
    begin();
    loop.run();
    clients.join();
    BOOST_TEST(accepted == connections);
}
