// Close as an order of events: what was in flight ends, and the descriptor's number is free for
// another file at once.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <stdexcept>

#include "busy_links.hpp"
#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

/// Ends the test on any thread; Boost.Test's macros are for one thread.
void require(bool condition, const char* what) {
    if (!condition) {
        throw std::runtime_error(what);
    }
}

/// A pair of plain sockets, one of which takes the number of a descriptor that was just closed.
class successor {
public:
    explicit successor(int number) {
        int pair[2];
        require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
        near_ = number;
        far_ = pair[1];
        if (pair[1] == number) {
            far_ = pair[0];
        } else if (pair[0] != number) {
            require(::fcntl(number, F_GETFD) == -1, "the number is still open");
            require(::dup2(pair[0], number) == number, "dup2");
            ::close(pair[0]);
        }
    }
    ~successor() {
        ::close(near_);
        ::close(far_);
    }
    successor(const successor&) = delete;
    successor& operator=(const successor&) = delete;

    /// Puts some bytes within reach of whoever reads the number by mistake.
    void fill() const { require(::send(far_, "mine", 4, 0) == 4, "send"); }
    /// Whether both directions hold what they should, and nothing else.
    bool untouched() const {
        char in[8];
        return ::recv(near_, in, sizeof in, 0) == 4 && ::recv(far_, in, sizeof in, 0) == -1 &&
               errno == EAGAIN;
    }

private:
    int near_;
    int far_;
};

/// Runs `f` on the thread that a case is about.
enum class where { outside, handler, other_thread };
constexpr where everywhere[] = {where::outside, where::handler, where::other_thread};

std::ostream& operator<<(std::ostream& out, where w) {
    return out << (w == where::outside   ? "outside run()"
                   : w == where::handler ? "in a handler"
                                         : "on another thread");
}

/// Starts operations inside the loop, lets the loop sleep, and then calls `f` where it is told to.
template <class Loop, class Start, class F>
void start_then(Loop& loop, where w, Start start, F f) {
    if (w == where::outside) {
        start();
        loop.poll();
        f();
        loop.run();
        return;
    }
    std::thread other;
    std::atomic<bool> started{false};
    typename Loop::timer later(loop.context());
    asio::post(loop.context(), [&] {
        start();
        started = true;
        later.expires_after(std::chrono::milliseconds(3));
        later.async_wait([&](error_code) {
            if (w == where::handler) {
                f();
            }
        });
    });
    if (w == where::other_thread) {
        other = std::thread([&] {
            while (!started) {
                std::this_thread::yield();
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            f();
        });
    }
    loop.run();
    if (other.joinable()) {
        other.join();
    }
}

RUNG_RIVAL_CASE(operations_of_a_closed_socket_are_aborted_and_spare_the_next_file) {
    for (const where w : everywhere) {
        BOOST_TEST_CONTEXT(w) {
            for (int i = 0; i < 10; ++i) {
                auto [a, b] = local_pair(loop);
                const std::string full(1'000'000, 'x');
                b.non_blocking(true);
                for (error_code ec; !ec;) {
                    b.send(asio::buffer(full), 0, ec);
                }
                char in[8] = "kept";
                std::array<outcome, 5> o;
                std::unique_ptr<successor> next;
                start_then(
                    loop, w,
                    [&, &b = b] {
                        b.async_receive(asio::buffer(in), into(o[0]));
                        b.async_receive(asio::buffer(in), into(o[1]));
                        b.async_send(asio::buffer(full), into(o[2]));
                        b.async_wait(b.wait_error, into(o[3]));
                        b.async_wait(b.wait_read, into(o[4]));
                    },
                    [&, &b = b] {
                        const int number = b.native_handle();
                        b.close();
                        next = std::make_unique<successor>(number);
                        next->fill();
                    });
                for (const outcome& one : o) {
                    BOOST_TEST(one.calls == 1);
                    BOOST_TEST(one.ec == error_code(error::operation_aborted));
                }
                BOOST_TEST(o[0].count == 0U);
                BOOST_TEST(std::string(in) == "kept");
                BOOST_TEST(next->untouched());
            }
        }
    }
}

RUNG_RIVAL_CASE(operations_that_begin_and_end_in_one_handler_spare_the_next_file) {
    for (int i = 0; i < 50; ++i) {
        auto [a, b] = local_pair(loop);
        char in[8];
        std::array<outcome, 3> o;
        std::unique_ptr<successor> next;
        asio::post(loop.context(), [&, &b = b] {
            b.async_receive(asio::buffer(in), into(o[0]));
            b.async_receive(asio::buffer(in), into(o[1]));
            b.async_wait(b.wait_read, into(o[2]));
            const int number = b.native_handle();
            b.close();
            next = std::make_unique<successor>(number);
            next->fill();
        });
        loop.run();
        for (const outcome& one : o) {
            BOOST_TEST(one == failed(error::operation_aborted));
        }
        BOOST_TEST(next->untouched());
    }
}

/// On a thread of the loop. Another one does not wait for the loop's, which the kernel interrupts.
RUNG_RIVAL_CASE(a_closed_socket_ends_its_peers_stream_at_once) {
    constexpr int limit_ms = 5'000;
    for (const where w : everywhere) {
        BOOST_TEST_CONTEXT(w) {
            over_every_transport(loop, [&](auto a, auto b) {
                char in[8];
                outcome aborted;
                error_code at_peer;
                a.non_blocking(true);
                start_then(
                    loop, w, [&] { b.async_receive(asio::buffer(in), into(aborted)); },
                    [&] {
                        b.close();
                        pollfd p{.fd = a.native_handle(), .events = POLLIN, .revents = 0};
                        ::poll(&p, 1, w == where::other_thread ? limit_ms : 0);
                        a.receive(asio::buffer(in), 0, at_peer);
                    });
                BOOST_TEST(aborted == failed(error::operation_aborted));
                BOOST_TEST(at_peer == error_code(error::eof));
            });
        }
    }
}

RUNG_RIVAL_CASE(a_released_socket_receives_nothing_for_its_former_operations) {
    for (const where w : everywhere) {
        BOOST_TEST_CONTEXT(w) {
            over_every_transport(loop, [&](auto a, auto b) {
                char in[8] = {};
                outcome aborted;
                ssize_t received = 0;
                start_then(
                    loop, w, [&] { b.async_receive(asio::buffer(in), into(aborted)); },
                    [&] {
                        const int descriptor = b.release();
                        a.send(asio::buffer("abc", 3));
                        received = ::recv(descriptor, in, sizeof in, MSG_DONTWAIT);
                        ::close(descriptor);
                    });
                BOOST_TEST(aborted == failed(error::operation_aborted));
                BOOST_TEST(received == 3);
            });
        }
    }
}

RUNG_RIVAL_CASE(a_port_can_be_bound_again_as_soon_as_its_acceptor_is_closed) {
    for (const where w : everywhere) {
        BOOST_TEST_CONTEXT(w) {
            for (int i = 0; i < 10; ++i) {
                // No option to reuse the address: nothing may be left of the first acceptor.
                typename Loop::tcp_acceptor acceptor(
                    loop.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0), false);
                const tcp::endpoint there = acceptor.local_endpoint();
                typename Loop::tcp_socket s(loop.context());
                typename Loop::tcp_socket t(loop.context());
                std::array<outcome, 3> o;
                error_code ec;
                start_then(
                    loop, w,
                    [&] {
                        acceptor.async_accept(s, into(o[0]));
                        acceptor.async_accept(t, into(o[1]));
                        acceptor.async_wait(acceptor.wait_read, into(o[2]));
                    },
                    [&] {
                        acceptor.close();
                        acceptor.open(tcp::v4());
                        acceptor.bind(there, ec);
                        if (!ec) {
                            acceptor.listen(5, ec);
                        }
                    });
                BOOST_TEST(!ec);
                for (const outcome& one : o) {
                    BOOST_TEST(one == failed(error::operation_aborted));
                }
            }
        }
    }
}

RUNG_RIVAL_CASE(a_connect_in_flight_is_aborted_and_spares_the_next_file) {
    const deaf_port port;
    for (const where w : everywhere) {
        BOOST_TEST_CONTEXT(w) {
            for (const bool non_blocking : {false, true}) {
                typename Loop::tcp_socket s(loop.context(), tcp::v4());
                s.native_non_blocking(non_blocking);
                outcome o;
                std::unique_ptr<successor> next;
                start_then(
                    loop, w, [&] { s.async_connect(port.endpoint(), into(o)); },
                    [&] {
                        const int number = s.native_handle();
                        s.close();
                        next = std::make_unique<successor>(number);
                        next->fill();
                    });
                BOOST_TEST(o == failed(error::operation_aborted));
                BOOST_TEST(next->untouched());
            }
        }
    }
}

RUNG_RIVAL_CASE(a_socket_is_open_for_new_operations_right_after_close) {
    auto acceptor = listener(loop);
    for (int i = 0; i < 20; ++i) {
        typename Loop::tcp_socket s(loop.context());
        s.connect(acceptor.local_endpoint());
        char in[4];
        outcome old;
        outcome connected;
        outcome received;
        s.async_receive(asio::buffer(in), into(old));
        loop.poll();
        s.close();
        s.async_connect(acceptor.local_endpoint(), into(connected));
        loop.run();
        BOOST_TEST(old == failed(error::operation_aborted));
        BOOST_TEST(connected == done());
        acceptor.accept().close();
        auto server = acceptor.accept();
        s.async_receive(asio::buffer(in), into(received));
        server.send(asio::buffer("abc", 3));
        loop.run();
        BOOST_TEST(received == done(3));
    }
}

RUNG_RIVAL_CASE(close_in_the_handler_of_one_operation_ends_the_others) {
    auto [a, b] = local_pair(loop);
    char in[8];
    std::array<outcome, 3> o;
    b.async_receive(asio::buffer(in, 1), [&, &b = b](error_code ec, std::size_t n) {
        into(o[0])(ec, n);
        b.close();
    });
    b.async_receive(asio::buffer(in, 1), into(o[1]));
    loop.poll();
    a.send(asio::buffer("x", 1));
    loop.run();
    BOOST_TEST(o[0] == done(1));
    BOOST_TEST(o[1] == failed(error::operation_aborted));
    BOOST_TEST(!b.is_open());
}

}  // namespace

BOOST_AUTO_TEST_CASE(close_does_not_wait_for_the_calls_of_other_operations) {
    // More threads than cores: at each time some of them are in the middle of a call.
    constexpr int threads = 12;
    rung::io_context context;
    const busy_links busy(context, threads);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    int closed = 0;
    while (closed < 50 && std::chrono::steady_clock::now() < end) {
        rung::native<local_stream::socket> a(context);
        rung::native<local_stream::socket> b(context);
        asio::local::connect_pair(a, b);
        std::array<char, 1> in{};
        a.async_receive(asio::buffer(in), [](error_code, std::size_t) {});
        a.close();
        ++closed;
    }
    BOOST_TEST(closed >= 20);
}
