// Cancellation that comes about when the operation completes: it ends once, either way, and no byte
// and no connection is lost.

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <functional>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using std::chrono::steady_clock;

namespace {

// With the three modes more than 100,000 on ours, in a time that a loaded machine can bear; the
// rival need only show that the rules are its own.
constexpr int many = 35'000;
constexpr int some = 6'000;
constexpr std::chrono::seconds limit{2};

/// What the rounds of one race came to. Its members are touched in one strand only.
template <class Loop>
struct tally {
    explicit tally(int n) : rounds(Loop::ours ? n : n / 10) {}
    int rounds;
    int begun = 0;
    int succeeded = 0;
    int aborted = 0;
    int wrong = 0;
    steady_clock::time_point end = steady_clock::now() + limit;

    bool another() { return begun < rounds && steady_clock::now() < end && ++begun != 0; }
    void count(error_code ec) {
        ++(!ec ? succeeded : ec == error::operation_aborted ? aborted : wrong);
    }
    void check() const {
        BOOST_TEST(begun >= 50);
        BOOST_TEST(succeeded + aborted == begun);
        BOOST_TEST(wrong == 0);
    }
};

/// Receives of one byte, each raced by a signal to its slot. After each, exactly one byte has been
/// sent and received.
template <class Loop>
class receive_race {
public:
    receive_race(Loop& l, int n)
        : result(n), strand_(asio::make_strand(l.executor())), pair_(local_pair(l)) {}

    typename Loop::local_socket& reader() { return pair_.second; }
    void run_in_one_strand() {
        asio::post(strand_, [this] { begin(); });
    }
    tally<Loop> result;

private:
    void begin() {
        if (!result.another()) {
            return;
        }
        steps_left_ = 2;
        pair_.second.async_receive(
            asio::buffer(in_),
            asio::bind_executor(strand_, asio::bind_cancellation_slot(
                                             signal_.slot(), [this](error_code ec, std::size_t n) {
                                                 completed(ec, n);
                                             })));
        switch (result.begun % 5) {
            case 0:  // the operation has not reached the kernel
                race(true);
                break;
            case 1:
                race(false);
                break;
            case 2:
            case 3:  // it has, if the loop saw fit
                asio::post(strand_, [this] { race(result.begun % 2 == 0); });
                break;
            default:  // the completion may wait in the queue when the signal comes
                pair_.first.send(asio::buffer("x", 1));
                asio::post(strand_, [this] { asio::post(strand_, [this] { emit(); }); });
                break;
        }
    }
    void race(bool send_first) {
        if (send_first) {
            pair_.first.send(asio::buffer("x", 1));
        }
        signal_.emit(asio::cancellation_type::total);
        if (!send_first) {
            pair_.first.send(asio::buffer("x", 1));
        }
        step();
    }
    void emit() {
        signal_.emit(asio::cancellation_type::partial);
        step();
    }
    void completed(error_code ec, std::size_t n) {
        result.count(ec);
        received_ = n == 1;
        result.wrong += n == (ec ? 0U : 1U) ? 0 : 1;
        step();
    }
    void step() {
        if (--steps_left_ != 0) {
            return;
        }
        if (!received_) {
            result.wrong += pair_.second.receive(asio::buffer(in_)) == 1 ? 0 : 1;
        }
        received_ = false;
        asio::post(strand_, [this] { begin(); });
    }

    asio::strand<typename Loop::executor_type> strand_;
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair_;
    asio::cancellation_signal signal_;
    char in_[4];
    int steps_left_ = 0;
    bool received_ = false;
};

RUNG_RIVAL_CASE(a_receive_cancelled_as_its_data_comes_ends_once_and_loses_nothing) {
    receive_race<Loop> race(loop, many);
    race.run_in_one_strand();
    loop.run();
    race.result.check();
}

RUNG_RIVAL_CASE(in_non_blocking_mode_too) {
    receive_race<Loop> race(loop, some);
    race.reader().native_non_blocking(true);
    race.run_in_one_strand();
    loop.run();
    race.result.check();
}

RUNG_RIVAL_CASE(another_thread_may_post_the_cancellation_into_the_strand) {
    auto [a, b] = local_pair(loop);
    const auto strand = asio::make_strand(loop.executor());
    asio::cancellation_signal signal;
    char in[4];
    tally<Loop> result(some);
    std::atomic<int> armed{0};
    std::atomic<int> signalled{0};
    std::function<void()> begin = [&, &b = b] {
        if (!result.another()) {
            armed = -1;
            return;
        }
        b.async_receive(
            asio::buffer(in),
            asio::bind_executor(strand, asio::bind_cancellation_slot(
                                            signal.slot(), [&](error_code ec, std::size_t n) {
                                                result.count(ec);
                                                if (n == 0) {
                                                    result.wrong +=
                                                        b.receive(asio::buffer(in)) == 1 ? 0 : 1;
                                                }
                                                // The next round waits for the last one's signal.
                                                std::function<void()> next = [&] { begin(); };
                                                asio::post(strand, next);
                                            })));
        armed = result.begun;
    };
    std::thread outside([&, &a = a] {
        for (int last = 0; armed != -1;) {
            const int round = armed;
            if (round == last || round == -1) {
                std::this_thread::yield();
                continue;
            }
            last = round;
            const auto cancel = [&, round] {
                signalled = round;
                if (result.begun == round) {
                    signal.emit(asio::cancellation_type::terminal);
                }
            };
            if (round % 2 == 0) {
                asio::post(strand, cancel);
                a.send(asio::buffer("x", 1));
            } else {
                a.send(asio::buffer("x", 1));
                asio::post(strand, cancel);
            }
        }
    });
    auto work = asio::make_work_guard(strand);
    asio::post(strand, begin);
    std::thread release([&] {
        outside.join();
        work.reset();
    });
    loop.run();
    release.join();
    result.check();
}

RUNG_RIVAL_CASE(a_timer_cancelled_as_it_expires_ends_once) {
    const auto strand = asio::make_strand(loop.executor());
    typename Loop::timer timer(loop.context());
    asio::cancellation_signal signal;
    tally<Loop> result(some);
    int steps_left = 0;
    std::function<void()> begin;
    const auto step = [&] {
        if (--steps_left == 0) {
            asio::post(strand, begin);
        }
    };
    begin = [&] {
        if (!result.another()) {
            return;
        }
        steps_left = 2;
        timer.expires_after(std::chrono::nanoseconds((result.begun % 64) * 100));
        timer.async_wait(asio::bind_executor(
            strand, asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) {
                result.count(ec);
                step();
            })));
        asio::post(strand, [&] {
            if (result.begun % 2 == 0) {
                signal.emit(asio::cancellation_type::total);
            } else {
                timer.cancel();
            }
            step();
        });
    };
    asio::post(strand, begin);
    loop.run();
    result.check();
}

RUNG_RIVAL_CASE(an_accept_or_connect_cancelled_as_it_succeeds_ends_once) {
    const auto strand = asio::make_strand(loop.executor());
    auto acceptor = listener(loop);
    acceptor.non_blocking(true);
    asio::cancellation_signal accept_signal;
    asio::cancellation_signal connect_signal;
    typename Loop::tcp_socket client(loop.context());
    typename Loop::tcp_socket server(loop.context());
    tally<Loop> accepts(some / 3);
    tally<Loop> connects(some / 3);
    int steps_left = 0;
    std::function<void()> begin;
    const auto step = [&] {
        if (--steps_left != 0) {
            return;
        }
        error_code ec;
        client.set_option(asio::socket_base::linger(true, 0), ec);
        client.close();
        server.close();
        do {  // what was not accepted
            acceptor.accept(ec).close();
        } while (!ec);
        asio::post(strand, begin);
    };
    begin = [&] {
        if (!connects.another()) {
            return;
        }
        ++accepts.begun;
        steps_left = 3;
        acceptor.async_accept(
            server,
            asio::bind_executor(
                strand, asio::bind_cancellation_slot(accept_signal.slot(), [&](error_code ec) {
                    accepts.count(ec);
                    accepts.wrong += server.is_open() == !ec ? 0 : 1;
                    step();
                })));
        client.async_connect(
            acceptor.local_endpoint(),
            asio::bind_executor(
                strand, asio::bind_cancellation_slot(connect_signal.slot(), [&](error_code ec) {
                    connects.count(ec);
                    step();
                })));
        const auto cancel = [&] {
            if (connects.begun % 3 != 0) {
                connect_signal.emit(asio::cancellation_type::terminal);
            }
            accept_signal.emit(asio::cancellation_type::terminal);
            step();
        };
        if (connects.begun % 2 == 0) {
            asio::post(strand, cancel);
        } else {
            asio::post(strand, [&, cancel] { asio::post(strand, cancel); });
        }
    };
    asio::post(strand, begin);
    loop.run();
    accepts.check();
    connects.check();
}

RUNG_RIVAL_CASE(a_thread_outside_the_loop_starts_and_cancels_at_will) {
    auto work = asio::make_work_guard(loop.context());
    tally<Loop> result(some);
    std::thread outside([&] {
        auto [a, b] = local_pair(loop);
        while (result.another()) {
            char in[4];
            std::atomic<int> calls{0};
            error_code ended;
            b.async_receive(asio::buffer(in), [&](error_code ec, std::size_t) {
                ended = ec;
                ++calls;
            });
            if (result.begun % 4 == 0) {
                std::this_thread::yield();
            }
            if (result.begun % 2 == 0) {
                a.send(asio::buffer("x", 1));
                b.cancel();
            } else {
                b.cancel();
                a.send(asio::buffer("x", 1));
            }
            while (calls == 0) {
                std::this_thread::yield();
            }
            result.count(ended);
            if (ended) {
                result.wrong += b.receive(asio::buffer(in)) == 1 ? 0 : 1;
            }
        }
        work.reset();
    });
    loop.run();
    outside.join();
    result.check();
}

}  // namespace
