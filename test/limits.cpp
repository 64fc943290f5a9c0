// What happens at the limits: queues of few entries, no descriptor left.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <functional>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

using our_loop = loop<rung::io_context>;

/// Runs `body` on contexts with few entries, in every mode.
template <class Body>
void with_entries(unsigned entries, Body body) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) {
            our_loop l(m, [&] {
                rung::io_context_options options;
                options.concurrency_hint = m.concurrency_hint;
                options.ring_entries = entries;
                return std::make_unique<rung::io_context>(options);
            });
            body(l);
        }
    }
}

/// Ten thousand operations in flight on four hundred sockets.
class crowd {
public:
    static constexpr std::size_t sockets = 400;
    static constexpr std::size_t waits = 24;

    explicit crowd(our_loop& l) {
        for (std::size_t i = 0; i < sockets; ++i) {
            pairs_.push_back(local_pair(l));
        }
    }
    void start() {
        calls = 0;
        aborted = 0;
        failed = 0;
        const auto note = [this](error_code ec, std::size_t = 0) {
            ++calls;
            aborted += ec == error::operation_aborted ? 1 : 0;
            failed += ec && ec != error::operation_aborted ? 1 : 0;
        };
        for (auto& [a, b] : pairs_) {
            for (std::size_t i = 0; i < waits; ++i) {
                b.async_wait(b.wait_read, note);
            }
            b.async_wait(b.wait_read, [this, note, &b = b](error_code ec) {
                note(ec);
                if (!ec) {
                    failed += b.receive(asio::buffer(in_, 1)) == 1 ? 0 : 1;
                }
            });
        }
    }
    void send() {
        for (auto& [a, b] : pairs_) {
            a.send(asio::buffer("x", 1));
        }
    }
    void cancel() {
        for (auto& [a, b] : pairs_) {
            b.cancel();
        }
    }
    void close() {
        for (auto& [a, b] : pairs_) {
            b.close();
        }
    }
    static constexpr int operations = sockets * (waits + 1);
    std::atomic<int> calls{0};
    std::atomic<int> aborted{0};
    std::atomic<int> failed{0};

private:
    std::vector<std::pair<our_loop::local_socket, our_loop::local_socket>> pairs_;
    char in_[4];
};

BOOST_AUTO_TEST_CASE(ten_thousand_operations_pass_a_queue_of_four) {
    static_assert(crowd::operations == 10'000);
    with_entries(4, [](our_loop& l) {
        crowd c(l);
        c.start();
        l.poll();
        BOOST_TEST(l.context().statistics().in_flight == 10'000U);
        // The byte that the last wait takes may be gone before an earlier one looks for it, so that
        // a byte a wait is sent.
        for (std::size_t i = 0; i <= crowd::waits; ++i) {
            c.send();
        }
        l.run();
        BOOST_TEST(c.calls == crowd::operations);
        BOOST_TEST(c.failed == 0);
        BOOST_TEST(c.aborted == 0);
        BOOST_TEST(l.context().statistics().submission_overflows > 0U);
    });
}

BOOST_AUTO_TEST_CASE(ten_thousand_operations_are_cancelled_through_a_queue_of_four) {
    with_entries(4, [](our_loop& l) {
        crowd c(l);
        for (const bool submitted : {true, false}) {
            c.start();
            if (submitted) {
                l.poll();
            }
            c.cancel();
            l.run();
            BOOST_TEST(c.calls == crowd::operations);
            BOOST_TEST(c.aborted == crowd::operations);
        }
        c.start();
        l.poll();
        c.close();
        l.run();
        BOOST_TEST(c.aborted == crowd::operations);
    });
}

BOOST_AUTO_TEST_CASE(operations_that_wait_for_ever_do_not_keep_others_out_of_the_kernel) {
    for (const unsigned entries : {1U, 4U}) {
        with_entries(entries, [](our_loop& l) {
            crowd idle(l);
            idle.start();
            l.poll();
            auto [a, b] = local_pair(l);
            // A ball goes to and fro; each receive is started before there is anything to receive.
            int passes = 0;
            char ball[2] = {};
            std::function<void(our_loop::local_socket&, our_loop::local_socket&)> play =
                [&](our_loop::local_socket& from, our_loop::local_socket& to) {
                    to.async_receive(asio::buffer(ball, 1), [&](error_code ec, std::size_t) {
                        if (!ec && ++passes < 200) {
                            play(to, from);
                        } else {
                            idle.cancel();
                        }
                    });
                    asio::post(l.context(), [&] { from.send(asio::buffer(ball, 1)); });
                };
            play(a, b);
            l.run();
            BOOST_TEST(passes == 200);
            BOOST_TEST(idle.aborted == crowd::operations);
        });
    }
}

BOOST_AUTO_TEST_CASE(megabytes_pass_a_queue_of_one) {
    with_entries(1, [](our_loop& l) {
        auto [a, b] = tcp_pair(l);
        const std::string out = pattern(3'000'000);
        std::string in(out.size(), '\0');
        outcome sent;
        outcome received;
        asio::async_write(a, asio::buffer(out), into(sent));
        asio::async_read(b, asio::buffer(in), into(received));
        l.run();
        BOOST_TEST(sent == done(out.size()));
        BOOST_TEST(received == done(in.size()));
        BOOST_TEST((in == out));
    });
}

RUNG_RIVAL_CASE(ten_thousand_receives_of_one_socket_end_in_order) {
    auto [a, b] = local_pair(loop);
    constexpr std::size_t n = 10'000;
    std::vector<outcome> outcomes(n);
    std::string in(n, '\0');
    for (const bool cancelled : {true, false}) {
        outcomes.assign(n, {});
        for (std::size_t i = 0; i < n; ++i) {
            b.async_receive(asio::buffer(&in[i], 1), into(outcomes[i]));
        }
        loop.poll();
        const std::string out = pattern(n);
        if (cancelled) {
            b.cancel();
        } else {
            asio::write(a, asio::buffer(out));
        }
        loop.run();
        const auto expected = cancelled ? failed(error::operation_aborted) : done(1);
        BOOST_TEST(std::count(outcomes.begin(), outcomes.end(), expected) == n);
        BOOST_TEST((cancelled || in == out));
    }
}

BOOST_AUTO_TEST_CASE(operations_of_low_io_priority_complete_under_a_limit_of_two) {
    for (const mode& m : modes) {
        our_loop l(m, [&] {
            rung::io_context_options options;
            options.concurrency_hint = m.concurrency_hint;
            options.low_io_in_flight = 2;
            return std::make_unique<rung::io_context>(options);
        });
        const auto low = asio::require(l.executor(), rung::io_priority::low);
        std::vector<our_loop::local_socket> sockets;
        std::vector<outcome> outcomes(100);
        char in[100];
        for (std::size_t i = 0; i < 50; ++i) {
            sockets.emplace_back(low);
            sockets.emplace_back(low);
            asio::local::connect_pair(sockets[2 * i], sockets[2 * i + 1]);
        }
        for (std::size_t i = 0; i < 50; ++i) {
            sockets[2 * i].async_receive(asio::buffer(&in[i], 1), into(outcomes[2 * i]));
        }
        l.poll();
        for (std::size_t i = 0; i < 50; ++i) {
            sockets[2 * i + 1].async_send(asio::buffer("x", 1), into(outcomes[2 * i + 1]));
        }
        l.run();
        BOOST_TEST(std::count(outcomes.begin(), outcomes.end(), done(1)) == 100);
    }
}

/// Takes every descriptor that the process may have, under a low limit.
class no_descriptors {
public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit low = before_;
        low.rlim_cur = 200;
        ::setrlimit(RLIMIT_NOFILE, &low);
        for (int d = 0; (d = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) != -1;) {
            taken_.push_back(d);
        }
    }
    ~no_descriptors() {
        give_back();
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;

    void give_back() {
        for (const int d : taken_) {
            ::close(d);
        }
        taken_.clear();
    }

private:
    rlimit before_{};
    std::vector<int> taken_;
};

RUNG_RIVAL_CASE(an_acceptor_survives_thousands_of_failures_for_want_of_descriptors) {
    auto acceptor = listener(loop);
    typename Loop::tcp_socket client(loop.context());
    client.connect(acceptor.local_endpoint());
    no_descriptors none;
    constexpr int most = 20'000;
    int failures = 0;
    error_code last;
    outcome accepted;
    typename Loop::tcp_socket server(loop.context());
    std::function<void()> accept = [&] {
        acceptor.async_accept([&](error_code ec, typename Loop::tcp_socket peer) {
            if (!ec) {
                into(accepted)(ec);
                server = std::move(peer);
                return;
            }
            last = ec;
            if (++failures == most) {
                none.give_back();
            }
            accept();
        });
    };
    accept();
    loop.run();
    BOOST_TEST(failures == most);
    BOOST_TEST(last == error_code(error::no_descriptors));
    BOOST_TEST(last == boost::system::errc::too_many_files_open);
    BOOST_TEST(accepted == done());
    BOOST_TEST(server.remote_endpoint() == client.local_endpoint());
}

RUNG_RIVAL_CASE(without_descriptors_no_socket_opens_and_those_that_are_open_work) {
    auto [a, b] = local_pair(loop);
    const no_descriptors none;
    typename Loop::tcp_socket s(loop.context());
    error_code ec;
    s.open(tcp::v4(), ec);
    BOOST_TEST(ec == error_code(error::no_descriptors));
    outcome connected;
    s.async_connect(tcp::endpoint(tcp::v4(), 9), into(connected));
    outcome sent;
    outcome received;
    char in[4];
    b.async_receive(asio::buffer(in), into(received));
    loop.poll();
    a.async_send(asio::buffer("abc", 3), into(sent));
    loop.run();
    BOOST_TEST(connected == failed(error::no_descriptors));
    BOOST_TEST(sent == done(3));
    BOOST_TEST(received == done(3));
}

}  // namespace
