// A loop that has nothing in the ring sleeps outside of it: whatever comes next must find it there.

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <rung/rung.hpp>
#include <thread>

#include "context_fixture.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

using work_guard = asio::executor_work_guard<rung::executor>;
using local_socket = rung::native<asio::local::stream_protocol::socket>;

/// A context that a thread runs, which has most likely gone to sleep when it is used.
struct sleeping : test::context_fixture {
    sleeping() : guard(context().get_executor()), thread([this] { context().run(); }) {
        std::this_thread::sleep_for(1ms);
    }
    ~sleeping() {
        guard.reset();
        if (thread.joinable()) {
            thread.join();
        }
    }
    const test::time_limit limit;
    work_guard guard;
    std::thread thread;
};

BOOST_FIXTURE_TEST_CASE(a_post_wakes_it, sleeping) {
    for (int i = 0; i < 2'000; ++i) {
        asio::post(context(), asio::use_future).get();
    }
}

BOOST_FIXTURE_TEST_CASE(an_operation_that_another_thread_starts_wakes_it, sleeping) {
    for (int i = 0; i < 200; ++i) {
        rung::native<asio::steady_timer> timer(context(), 100us);
        timer.async_wait(asio::use_future).get();
        local_socket near(context()), far(context());
        asio::local::connect_pair(near, far);
        char in[1];
        auto received = near.async_receive(asio::buffer(in), asio::use_future);
        far.send(asio::buffer("x", 1));
        BOOST_TEST(received.get() == 1U);
    }
}

BOOST_FIXTURE_TEST_CASE(the_end_of_the_work_wakes_it, sleeping) {
    guard.reset();
    thread.join();
    BOOST_TEST(context().stopped());
}

BOOST_FIXTURE_TEST_CASE(a_stop_wakes_it, sleeping) {
    context().stop();
    thread.join();
}

BOOST_FIXTURE_TEST_CASE(a_second_thread_in_the_loop_brings_it_back_to_the_ring, sleeping) {
    for (int i = 0; i < 100; ++i) {
        std::atomic<bool> over{false};
        std::thread second([&] {
            while (!over) {
                context().run_for(1ms);
            }
        });
        // Each thread may run the handlers, and either may submit what they start.
        local_socket near(context()), far(context());
        asio::local::connect_pair(near, far);
        char in[1];
        auto received = asio::post(context(), asio::use_future([&] {
                                       near.async_receive(asio::buffer(in),
                                                          [&](auto, std::size_t) { over = true; });
                                   }));
        received.get();
        far.send(asio::buffer("x", 1));
        second.join();
        BOOST_TEST(over);
        std::this_thread::sleep_for(std::chrono::microseconds(i * 10));
    }
}

BOOST_AUTO_TEST_CASE(it_sleeps_no_longer_than_it_may) {
    const test::time_limit limit;
    rung::io_context ctx;
    const work_guard guard(ctx.get_executor());
    const auto begin = std::chrono::steady_clock::now();
    BOOST_TEST(ctx.run_for(20ms) == 0U);
    const auto took = std::chrono::steady_clock::now() - begin;
    BOOST_TEST((took >= 20ms && took < 10s));
    rung::native<asio::steady_timer> timer(ctx, 5ms);
    bool expired = false;
    timer.async_wait([&](auto) { expired = true; });
    ctx.run_one();
    BOOST_TEST(expired);
    BOOST_TEST(ctx.statistics().sleeps >= 2U);
}

BOOST_AUTO_TEST_CASE(a_context_may_be_destroyed_while_who_woke_it_is_still_on_its_way) {
    const test::time_limit limit;
    for (int i = 0; i < 1'000; ++i) {
        auto ctx = std::make_unique<rung::io_context>();
        std::optional<work_guard> guard(ctx->get_executor());
        std::thread waker([ex = ctx->get_executor(), i, &guard] {
            for (int spins = 0; spins < i * 50; ++spins) {
                std::atomic_signal_fence(std::memory_order_seq_cst);
            }
            asio::post(ex, [&guard] { guard.reset(); });
        });
        ctx->run();
        ctx.reset();
        waker.join();
    }
}

}  // namespace
