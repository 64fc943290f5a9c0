/// Descriptors in every state that makes a kernel's answer differ from Asio's: half-closed, full,
/// reset, in either mode. What stock Asio leaves pending stays pending, at no cost, and ends alike.

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/basic_seq_packet_socket.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <cstring>
#include <functional>

#include "at_rest.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using namespace std::chrono_literals;

namespace {

/// Runs `body(near, far)` for both ends of a stream socket of each kind, in each mode, whose far end
/// has shut down its sending side, with the near end full.
template <class Loop, class Body>
void over_half_closed(Loop& loop, Body body) {
    for (const bool blocks : {true, false}) {
        over_every_transport(loop, [&](auto near, auto far) {
            BOOST_TEST_CONTEXT(blocks) {
                set_blocking(near.native_handle(), blocks);
                far.shutdown(far.shutdown_send);
                fill(near.native_handle());
                body(near, far);
            }
        });
    }
}

}  // namespace

RUNG_RIVAL_CASE(a_write_to_a_half_closed_full_peer_waits_at_no_cost) {
    if (loop.threads() != 1) {
        return;  // the case counts threads
    }
    over_half_closed(loop, [&](auto& near, auto& far) {
        for (const bool gathers : {false, true}) {
            const std::string out(100'000, 'y');
            const std::array<asio::const_buffer, 2> two{asio::buffer(out, 60'000),
                                                        asio::buffer(out, 40'000)};
            outcome written;
            std::size_t before = fill(near.native_handle());
            if (gathers) {
                near.async_send(two, into(written));
            } else {
                near.async_send(asio::buffer(out), into(written));
            }
            check_rest(loop, written);
            run_until(loop, [&] {
                before += drain(far.native_handle(), 1 << 16);
                return written.calls == 1;
            });
            BOOST_TEST(!written.ec);
            BOOST_TEST(written.count > 0U);
        }
    });
}

RUNG_RIVAL_CASE(waits_on_a_half_closed_full_peer_rest_at_no_cost) {
    if (loop.threads() != 1) {
        return;
    }
    over_half_closed(loop, [&](auto& near, auto& far) {
        outcome writable;
        near.async_wait(near.wait_write, into(writable));
        check_rest(loop, writable);
        outcome failed_or_urgent;
        near.async_wait(near.wait_error, into(failed_or_urgent));
        check_rest(loop, failed_or_urgent);
        run_until(loop, [&] {
            drain(far.native_handle(), 1 << 22);
            return writable.calls == 1;
        });
        BOOST_TEST(writable == done());
        BOOST_TEST(failed_or_urgent == outcome{});
        near.cancel();
        run_until(loop, [&] { return failed_or_urgent.calls == 1; });
        BOOST_TEST(failed_or_urgent == failed(error::operation_aborted));
    });
}

RUNG_RIVAL_CASE(a_receive_of_urgent_data_from_a_half_closed_peer_rests_at_no_cost) {
    if (loop.threads() != 1) {
        return;
    }
    auto [near, far] = tcp_pair(loop);
    far.shutdown(far.shutdown_send);
    char in = 0;
    outcome received;
    near.async_receive(asio::buffer(&in, 1), near.message_out_of_band, into(received));
    check_rest(loop, received);
    near.close();
    run_until(loop, [&] { return received.calls == 1; });
    BOOST_TEST(received == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(a_pending_write_to_a_half_closed_peer_ends_with_the_connection) {
    for (const bool cancels : {false, true}) {
        over_half_closed(loop, [&](auto& near, auto& far) {
            const std::string out(1 << 16, 'y');
            outcome written;
            near.async_send(asio::buffer(out), into(written));
            loop.context().restart();
            loop.context().run_for(5ms);
            BOOST_TEST(written == outcome{});
            if (cancels) {
                near.cancel();
            } else {
                far.close();
            }
            loop.run();
            if (cancels) {
                BOOST_TEST(written == failed(error::operation_aborted));
            } else {
                const bool gone = written.ec == error_code(error::broken_pipe) ||
                                  written.ec == error_code(error::connection_reset);
                BOOST_TEST(gone, written);
            }
        });
    }
}

RUNG_RIVAL_CASE(many_pending_writes_cost_no_thread_and_end_with_their_sockets) {
    if (loop.threads() != 1) {
        return;
    }
    const std::string out(1 << 20, 'y');
    std::vector<std::pair<typename Loop::local_socket, typename Loop::local_socket>> pairs;
    std::vector<outcome> written(50);
    for (outcome& o : written) {
        pairs.push_back(local_pair(loop));
        pairs.back().second.shutdown(asio::socket_base::shutdown_send);
        fill(pairs.back().first.native_handle());
        pairs.back().first.async_send(asio::buffer(out), into(o));
    }
    check_rest(loop, written.front());
    pairs.clear();
    loop.run();
    for (const outcome& o : written) {
        BOOST_TEST(o == failed(error::operation_aborted));
    }
}

RUNG_RIVAL_CASE(messages_to_a_full_receiver_all_arrive_whole) {
    using local = asio::local::datagram_protocol;
    using socket = asio::basic_datagram_socket<local, typename Loop::executor_type>;
    constexpr int senders = 4;
    constexpr int each = 50;
    for (const bool blocks : {true, false}) {
        for (const bool gathers : {false, true}) {
            const std::string name = "rung-test-answers-" + std::to_string(::getpid());
            const local::endpoint there(std::string(1, '\0') + name);
            socket receiver(loop.context(), there);
            std::vector<std::unique_ptr<socket>> all;
            std::vector<std::string> text(senders);
            std::vector<int> left(senders, each);
            std::atomic<int> faults{0};
            std::atomic<int> over{0};
            std::function<void(int)> next = [&](int i) {
                const auto u = static_cast<std::size_t>(i);
                if (left[u]-- == 0) {
                    ++over;
                    return;
                }
                text[u] = "sender " + std::to_string(i) + ", message " + std::to_string(left[u]);
                const auto sent = [&, u](error_code ec, std::size_t n) {
                    faults += ec || n != text[u].size() ? 1 : 0;
                    next(static_cast<int>(u));
                };
                const asio::const_buffer whole = asio::buffer(text[u]);
                if (gathers) {
                    all[u]->async_send(
                        std::array<asio::const_buffer, 2>{asio::buffer(whole, 3), whole + 3}, sent);
                } else {
                    all[u]->async_send(whole, sent);
                }
            };
            for (int i = 0; i < senders; ++i) {
                all.push_back(std::make_unique<socket>(loop.context()));
                all.back()->connect(there);
                set_blocking(all.back()->native_handle(), blocks);
            }
            std::thread reader([&] {
                char in[64];
                for (int i = 0; i < senders * each; ++i) {
                    const ssize_t n = ::recv(receiver.native_handle(), in, sizeof in, 0);
                    faults += n < 8 || std::memcmp(in, "sender ", 7) != 0 ? 1 : 0;
                    ::usleep(50);
                }
            });
            for (int i = 0; i < senders; ++i) {
                next(i);
            }
            loop.run();
            reader.join();
            BOOST_TEST(over == senders);
            BOOST_TEST(faults == 0);
        }
    }
}

RUNG_RIVAL_CASE(a_packet_to_a_full_peer_arrives_whole) {
    using protocol = asio::generic::seq_packet_protocol;
    using socket = asio::basic_seq_packet_socket<protocol, typename Loop::executor_type>;
    for (const bool blocks : {true, false}) {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
        socket near(loop.context(), protocol(AF_UNIX, 0), ends[0]);
        int filled = 0;
        while (::send(ends[0], "fill", 4, MSG_DONTWAIT) == 4) {
            ++filled;
        }
        set_blocking(ends[0], blocks);
        outcome sent;
        near.async_send(asio::buffer("a packet", 8), 0, into(sent));
        if (loop.threads() == 1) {
            check_rest(loop, sent);
        }
        char in[16];
        for (int i = 0; i < filled; ++i) {
            BOOST_TEST(::recv(ends[1], in, sizeof in, 0) == 4);
        }
        loop.run();
        BOOST_TEST(sent == done(8));
        BOOST_TEST(::recv(ends[1], in, sizeof in, MSG_DONTWAIT) == 8);
        ::close(ends[1]);
    }
}
