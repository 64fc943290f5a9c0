/// A loop that spins before it sleeps sees all that a sleeping one is woken for, and goes to sleep.

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <ctime>
#include <optional>
#include <rung/rung.hpp>
#include <thread>

#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

using work_guard = asio::executor_work_guard<rung::executor>;
using local_socket = rung::native<asio::local::stream_protocol::socket>;
using timer = rung::native<asio::steady_timer>;

constexpr auto spin_time = 900ms;  // longer than anything here may take
constexpr auto soon = 400ms;

rung::io_context_options spinning(std::chrono::nanoseconds time = spin_time) {
    rung::io_context_options options;
    options.spin_before_sleep = time;
    return options;
}

/// A context whose threads spin when a test begins.
struct spinning_loop {
    explicit spinning_loop(int threads = 1)
        : guard(std::in_place, context.get_executor()),
          runners(threads, [this](int) { context.run(); }) {
        for (int i = 0; i < threads; ++i) {
            asio::post(context, [] {});
        }
        std::this_thread::sleep_for(5ms);
    }
    ~spinning_loop() {
        guard.reset();
        context.stop();
    }

    const test::time_limit limit;
    rung::io_context context{spinning()};
    std::optional<work_guard> guard;
    test::thread_group runners;
};

struct two_spinning_threads : spinning_loop {
    two_spinning_threads() : spinning_loop(2) {}
};

template <class Future>
bool ready_soon(Future& f) {
    return f.wait_for(soon) == std::future_status::ready;
}

std::chrono::nanoseconds cpu_time() {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

void sees_everything(spinning_loop& l) {
    for (int i = 0; i < 20; ++i) {
        auto posted = asio::post(l.context, asio::use_future);
        BOOST_TEST(ready_soon(posted));
        timer t(l.context, 1ms);
        auto fired = t.async_wait(asio::use_future);
        BOOST_TEST(ready_soon(fired));
        timer far(l.context, 1h);
        auto cancelled = far.async_wait(asio::use_future);
        far.cancel();
        BOOST_TEST(ready_soon(cancelled));
        local_socket near(l.context), peer(l.context);
        asio::local::connect_pair(near, peer);
        char in[1];
        auto received = near.async_receive(asio::buffer(in), asio::use_future);
        peer.send(asio::buffer("x", 1));
        BOOST_TEST(ready_soon(received));
        auto ended = near.async_receive(asio::buffer(in), asio::use_future);
        near.close();
        BOOST_TEST(ready_soon(ended));
    }
}

template <class F>
void ends_soon(spinning_loop& l, F f) {
    const auto begin = steady::now();
    f();
    l.runners.join();
    BOOST_TEST((steady::now() - begin < soon));
}

BOOST_FIXTURE_TEST_CASE(it_sees_what_other_threads_start, spinning_loop) { sees_everything(*this); }
BOOST_FIXTURE_TEST_CASE(two_that_spin_see_what_others_start, two_spinning_threads) {
    sees_everything(*this);
}
BOOST_FIXTURE_TEST_CASE(it_sees_the_end_of_the_work, spinning_loop) {
    ends_soon(*this, [this] { guard.reset(); });
}
BOOST_FIXTURE_TEST_CASE(two_that_spin_see_the_end_of_the_work, two_spinning_threads) {
    ends_soon(*this, [this] { guard.reset(); });
}
BOOST_FIXTURE_TEST_CASE(it_sees_a_stop, spinning_loop) {
    ends_soon(*this, [this] { context.stop(); });
}
BOOST_FIXTURE_TEST_CASE(two_that_spin_see_a_stop, two_spinning_threads) {
    ends_soon(*this, [this] { context.stop(); });
}

BOOST_FIXTURE_TEST_CASE(a_fiber_goes_on_at_home_while_its_thread_spins, two_spinning_threads) {
    for (int i = 0; i < 20; ++i) {
        std::promise<bool> home;
        rung::spawn(context.get_executor(), [&] {
            const auto here = std::this_thread::get_id();
            timer t(context, 1ms);
            t.async_wait(rung::use_fiber);
            home.set_value(std::this_thread::get_id() == here);
        });
        auto f = home.get_future();
        BOOST_REQUIRE(ready_soon(f));
        BOOST_TEST(f.get());
    }
}

BOOST_AUTO_TEST_CASE(it_spins_no_longer_than_a_deadline) {
    rung::io_context context(spinning());
    const work_guard guard(context.get_executor());
    const auto begin = steady::now();
    context.run_for(20ms);
    const auto took = steady::now() - begin;
    BOOST_TEST((took >= 20ms && took < soon));
}

/// What waits without being work: a second read in its turn, and one that a limit holds back.
BOOST_AUTO_TEST_CASE(it_sleeps_although_operations_wait_for_their_turn) {
    const test::time_limit limit;
    for (const bool limited : {false, true}) {
        for (const auto spin : {0us, 50us}) {
            rung::io_context_options options = spinning(spin);
            options.low_io_in_flight = limited ? 1 : 0;
            rung::io_context context(options);
            const auto ex = asio::require(context.get_executor(), rung::io_priority::low);
            local_socket a(ex), b(ex), c(ex), d(ex);
            asio::local::connect_pair(a, b);
            asio::local::connect_pair(c, d);
            char in[3][16];
            a.async_read_some(asio::buffer(in[0]), [](auto...) {});
            a.async_read_some(asio::buffer(in[1]), [](auto...) {});
            c.async_read_some(asio::buffer(in[2]), [](auto...) {});
            const auto before = cpu_time();
            context.run_for(500ms);
            BOOST_TEST((cpu_time() - before < 100ms));
            BOOST_TEST(context.statistics().sleeps >= 1U);
        }
    }
}

}  // namespace
