/// What threads outside the loop pay for their calls, and what the loop pays for those threads.

#include <sched.h>

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using tcp = asio::ip::tcp;
using udp = asio::ip::udp;
using local = asio::local::stream_protocol;
using timer = rung::native<asio::steady_timer>;

namespace {

const std::vector<int> hints{-1, 1};

/// A context in a thread that runs one handler after the other.
class busy_loop {
public:
    explicit busy_loop(int hint = -1, const std::function<void()>& begin = [] {})
        : context(hint), thread_([this, begin] {
              begin();
              link();
              context.run();
          }) {
        asio::post(context, asio::use_future).get();
    }
    ~busy_loop() {
        over_ = true;
        thread_.join();
    }
    const test::time_limit limit;
    rung::io_context context;

private:
    void link() {
        if (!over_) {
            asio::post(context, [this] { link(); });
        }
    }
    std::atomic<bool> over_{false};
    std::thread thread_;
};

/// A context in a thread that is in one handler, without a system call, until it is released.
class computing_loop {
public:
    explicit computing_loop(rung::io_context& context)
        : thread_([this, &context] {
              asio::post(context, [this] {
                  inside_ = true;
                  while (!released_) {
                  }
              });
              context.poll();
          }) {
        while (!inside_) {
            std::this_thread::yield();
        }
    }
    ~computing_loop() {
        released_ = true;
        thread_.join();
    }

private:
    std::atomic<bool> inside_{false};
    std::atomic<bool> released_{false};
    std::thread thread_;
};

template <class F>
steady::duration longest_of(int calls, F f) {
    steady::duration longest{};
    for (int i = 0; i < calls; ++i) {
        const auto begin = steady::now();
        f(i);
        longest = std::max(longest, steady::now() - begin);
    }
    return longest;
}

BOOST_DATA_TEST_CASE(calls_one_after_the_other_end_the_loops_ownership_only_now_and_then, hints,
                     hint) {
    busy_loop loop(hint);
    timer t(loop.context);
    const auto begin = steady::now();
    for (int i = 0; i < 20'000; ++i) {
        t.expires_after(1h);
        t.async_wait([](auto) {});
    }
    const auto ms = static_cast<std::uint64_t>((steady::now() - begin) / 1ms);
    t.cancel();
    // Ownerships are ended after 1 ms of peace, and then ever more seldom.
    BOOST_TEST(loop.context.statistics().lock_borrows <= 12 + ms / 256);
}

BOOST_DATA_TEST_CASE(the_loop_owns_its_lock_again_once_it_is_left_alone, hints, hint) {
    busy_loop loop(hint);
    if (loop.context.statistics().lock_borrows == 0) {
        BOOST_TEST_MESSAGE("SKIP: nobody owns locks here");
        return;
    }
    for (int i = 0; i < 3; ++i) {
        const std::uint64_t before = loop.context.statistics().lock_borrows;
        const auto until = steady::now() + 10s;
        std::uint64_t after = before;
        while (after == before && steady::now() < until) {
            std::this_thread::sleep_for(300ms);
            after = loop.context.statistics().lock_borrows;
        }
        BOOST_TEST(after == before + 1);
    }
}

/// The one that came first and left was at home.
BOOST_DATA_TEST_CASE(the_thread_that_remains_of_two_comes_to_own_the_lock, hints, hint) {
    const test::time_limit limit;
    rung::io_context context(hint);
    const auto guard = asio::make_work_guard(context);
    std::atomic<bool> inside{false}, met{false}, over{false};
    asio::post(context, [&] {
        inside = true;
        while (!met) {
            std::this_thread::yield();
        }
    });
    std::thread first([&] { context.run_one(); });
    while (!inside) {
        std::this_thread::yield();
    }
    std::function<void()> link = [&] {
        met = true;
        if (over) {
            context.stop();
        } else {
            asio::post(context, link);
        }
    };
    asio::post(context, link);
    std::thread second([&] { context.run(); });
    first.join();
    const std::uint64_t before = context.statistics().lock_borrows;
    const auto until = steady::now() + 10s;
    std::uint64_t after = before;
    while (before != 0 && after == before && steady::now() < until) {
        std::this_thread::sleep_for(300ms);
        after = context.statistics().lock_borrows;
    }
    over = true;
    second.join();
    if (before == 0) {
        BOOST_TEST_MESSAGE("SKIP: nobody owns locks here");
        return;
    }
    BOOST_TEST(after > before);
}

BOOST_DATA_TEST_CASE(a_stream_is_closed_without_waiting_for_a_handler_that_computes, hints, hint) {
    const test::time_limit limit;
    constexpr int sockets = 100;
    rung::io_context context(hint);
    std::vector<rung::native<local::socket>> near, far;
    std::array<char, 16> in{};
    int aborted = 0;
    for (int i = 0; i < sockets; ++i) {
        asio::local::connect_pair(near.emplace_back(context), far.emplace_back(context));
        near.back().async_read_some(asio::buffer(in), [&](boost::system::error_code ec, auto) {
            aborted += ec == asio::error::operation_aborted ? 1 : 0;
        });
    }
    std::thread([&] { context.poll(); }).join();
    const auto begin = steady::now();
    {
        const computing_loop loop(context);
        for (auto& s : near) {
            s.close();
        }
        BOOST_TEST((steady::now() - begin < sockets * 1ms));
    }
    context.run();
    BOOST_TEST(aborted == sockets);
    for (auto& s : far) {
        boost::system::error_code ec;
        s.read_some(asio::buffer(in), ec);
        BOOST_TEST(ec == asio::error::eof);
    }
}

/// A port is free again when close() returns, on whatever thread.
BOOST_DATA_TEST_CASE(a_name_is_free_once_its_socket_is_closed, hints, hint) {
    const test::time_limit limit;
    rung::io_context context(hint);
    rung::native<tcp::acceptor> acceptor(context, {asio::ip::address_v4::loopback(), 0}, false);
    rung::native<udp::socket> receiver(context, {asio::ip::address_v4::loopback(), 0});
    const auto port = acceptor.local_endpoint();
    const auto datagrams = receiver.local_endpoint();
    std::array<char, 16> in{};
    const auto begin = [&] {
        acceptor.async_accept([](auto...) {});
        receiver.async_receive(asio::buffer(in), [](auto...) {});
    };
    std::thread([&] {
        begin();
        context.poll();
    }).join();
    for (int i = 0; i < 20; ++i) {
        const computing_loop loop(context);
        acceptor.close();
        receiver.close();
        boost::system::error_code ec;
        acceptor.open(tcp::v4());
        BOOST_TEST(!acceptor.bind(port, ec));
        acceptor.listen();
        receiver.open(udp::v4());
        BOOST_TEST(!receiver.bind(datagrams, ec));
        begin();
    }
    acceptor.close();
    receiver.close();
    context.run();
}

/// A thread that yields to no other waits for the loop by sleeping.
BOOST_DATA_TEST_CASE(a_real_time_thread_gets_on_against_a_loop_on_its_core, hints, hint) {
    const auto pin = [] {
        cpu_set_t first;
        CPU_ZERO(&first);
        CPU_SET(0, &first);
        ::sched_setaffinity(0, sizeof first, &first);
    };
    busy_loop loop(hint, pin);
    std::string refused;
    steady::duration longest{};
    std::thread real_time([&] {
        pin();
        const sched_param priority{.sched_priority = 50};
        if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
            refused = "real-time priority is refused here";
            return;
        }
        timer t(loop.context);
        const auto end = steady::now() + 1'500ms;
        int calls = 0;
        while (steady::now() < end) {
            // Now the loop owns its lock, now it does not.
            std::this_thread::sleep_for(std::chrono::microseconds(500 + calls++ % 7 * 1'013));
            longest = std::max(longest, longest_of(1, [&](int) {
                                   t.expires_after(1h);
                                   t.async_wait([](auto) {});
                               }));
        }
        t.cancel();
    });
    real_time.join();
    if (!refused.empty()) {
        BOOST_TEST_MESSAGE("SKIP: " << refused);
        return;
    }
    BOOST_TEST_MESSAGE("longest call: " << longest / 1us << " us");
    BOOST_TEST((longest < 50ms));
}

}  // namespace
