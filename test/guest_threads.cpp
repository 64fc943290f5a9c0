/// Stock I/O objects on a context that several threads use.

#include <array>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <rung/rung.hpp>
#include <thread>
#include <vector>

#include "thread_group.hpp"
#include "watchdog.hpp"

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;
using local = asio::local::stream_protocol;

BOOST_AUTO_TEST_CASE(operations_that_another_thread_starts_and_cancels_wake_the_loop) {
    rung::io_context context;
    auto work = asio::make_work_guard(context);
    std::thread runner([&] { context.run(); });
    for (int i = 0; i < 200; ++i) {
        asio::steady_timer timer(context, 1h);
        std::promise<error_code> ended;
        auto end = ended.get_future();
        timer.async_wait([&](error_code ec) { ended.set_value(ec); });
        timer.cancel();
        BOOST_REQUIRE((end.wait_for(10s) == std::future_status::ready));
        BOOST_TEST(end.get() == asio::error::operation_aborted);

        asio::ip::udp::socket a(context, {asio::ip::address_v4::loopback(), 0});
        asio::ip::udp::socket b(context, {asio::ip::address_v4::loopback(), 0});
        char in[4];
        auto received = a.async_receive(asio::buffer(in), asio::use_future);
        b.send_to(asio::buffer("ab", 2), a.local_endpoint());
        BOOST_REQUIRE((received.wait_for(10s) == std::future_status::ready));
        BOOST_TEST(received.get() == 2U);
    }
    work.reset();
    runner.join();
}

BOOST_AUTO_TEST_CASE(any_number_of_threads_run_guests_handlers_at_the_same_time) {
    for (const int threads : {2, 20}) {
        rung::io_context context;
        std::vector<std::unique_ptr<asio::steady_timer>> timers;
        std::atomic<int> inside{0};
        std::atomic<int> met{0};
        // Each handler waits for all the others, so that fewer threads would never end it.
        for (int i = 0; i < threads; ++i) {
            timers.push_back(std::make_unique<asio::steady_timer>(context, 1ms));
            timers.back()->async_wait([&](error_code) {
                ++inside;
                const auto give_up = std::chrono::steady_clock::now() + 10s;
                while (inside < threads && std::chrono::steady_clock::now() < give_up) {
                    std::this_thread::yield();
                }
                met += inside == threads ? 1 : 0;
            });
        }
        test::thread_group(threads, [&](int) { context.run(); }).join();
        BOOST_TEST(met == threads);
    }
}

BOOST_AUTO_TEST_CASE(a_thread_that_comes_later_runs_what_is_ready_for_another) {
    rung::io_context context;
    asio::steady_timer first(context, 0ms);
    asio::steady_timer second(context, 0ms);
    std::promise<void> begun;
    std::promise<void> over;
    std::atomic<int> handlers{0};
    bool met = false;
    const auto handler = [&](error_code) {
        if (++handlers == 1) {
            begun.set_value();
            met = over.get_future().wait_for(10s) == std::future_status::ready;
        } else {
            over.set_value();
        }
    };
    first.async_wait(handler);
    second.async_wait(handler);
    std::thread alone([&] { context.run(); });
    begun.get_future().wait();
    context.run();
    alone.join();
    BOOST_TEST(met);
}

BOOST_AUTO_TEST_CASE(threads_sleep_while_others_are_busy_with_guests) {
    constexpr int busy = 9;
    rung::io_context context;
    std::vector<std::unique_ptr<asio::steady_timer>> timers;
    std::atomic<int> inside{0};
    std::promise<void> over;
    const std::shared_future<void> end = over.get_future().share();
    for (int i = 0; i < busy; ++i) {
        timers.push_back(std::make_unique<asio::steady_timer>(context, 1ms));
        timers.back()->async_wait([&](error_code) {
            ++inside;
            end.wait_for(10s);
        });
    }
    auto work = asio::make_work_guard(context);
    test::thread_group threads(busy + 1, [&](int) { context.run(); });
    while (inside < busy) {
        std::this_thread::sleep_for(1ms);
    }
    local::socket a(context);
    local::socket b(context);
    asio::local::connect_pair(a, b);
    char in = 0;
    auto received = a.async_receive(asio::buffer(&in, 1), asio::use_future);
    b.send(asio::buffer("x", 1));
    BOOST_TEST((received.wait_for(10s) == std::future_status::ready));
    const std::uint64_t calls = context.statistics().system_calls;
    std::this_thread::sleep_for(20ms);
    BOOST_TEST(context.statistics().system_calls - calls < 100U);
    over.set_value();
    work.reset();
}

BOOST_AUTO_TEST_CASE(a_handler_may_wait_for_what_it_starts_where_another_thread_runs) {
    rung::io_context context;
    asio::steady_timer first(context, 1ms);
    bool ended = false;
    first.async_wait([&](error_code) {
        std::promise<void> posted;
        asio::steady_timer second(context, 1ms);
        second.async_wait([&](error_code) { posted.set_value(); });
        ended = posted.get_future().wait_for(10s) == std::future_status::ready;
    });
    auto work = asio::make_work_guard(context);
    std::thread other([&] { context.run(); });
    std::thread third([&] { context.run(); });
    std::this_thread::sleep_for(20ms);
    work.reset();
    context.run();
    other.join();
    third.join();
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE(many_timers_on_four_threads_all_end) {
    rung::io_context context;
    std::vector<std::unique_ptr<asio::steady_timer>> timers;
    std::atomic<int> fired{0};
    for (int i = 0; i < 2000; ++i) {
        timers.push_back(
            std::make_unique<asio::steady_timer>(context, std::chrono::microseconds(i * 10)));
        timers.back()->async_wait([&](error_code ec) { fired += ec ? 0 : 1; });
    }
    const test::watchdog guard([&] { context.stop(); });
    std::atomic<std::size_t> counted{0};
    test::thread_group(4, [&](int) { counted += context.run(); }).join();
    BOOST_TEST(!guard.expired());
    BOOST_TEST(fired == 2000);
    BOOST_TEST(counted == 2000U);
}

BOOST_AUTO_TEST_CASE(where_several_threads_run_one_handler_each_it_is_one_of_the_program) {
    rung::io_context context;
    std::vector<std::unique_ptr<asio::steady_timer>> timers;
    std::atomic<int> fired{0};
    std::atomic<std::size_t> counted{0};
    for (int i = 0; i < 200; ++i) {
        timers.push_back(std::make_unique<asio::steady_timer>(context, 1ms));
        timers.back()->async_wait([&](error_code) { ++fired; });
    }
    const test::watchdog guard([&] { context.stop(); });
    test::thread_group(2, [&](int) {
        for (int i = 0; i < 100; ++i) {
            counted += context.run_one();
        }
    }).join();
    BOOST_TEST(!guard.expired());
    BOOST_TEST(fired == 200);
    BOOST_TEST(counted == 200U);
}

BOOST_AUTO_TEST_CASE(strands_over_our_executor_serialise_guests) {
    rung::io_context context;
    asio::any_io_executor strand = asio::make_strand(context);
    std::vector<std::unique_ptr<asio::steady_timer>> timers;
    int inside = 0;
    bool overlapped = false;
    int calls = 0;
    for (int i = 0; i < 200; ++i) {
        timers.push_back(std::make_unique<asio::steady_timer>(strand, 1ms));
        timers.back()->async_wait([&](error_code) {
            overlapped = overlapped || ++inside != 1;
            ++calls;
            --inside;
        });
    }
    std::thread other([&] { context.run(); });
    context.run();
    other.join();
    BOOST_TEST(calls == 200);
    BOOST_TEST(!overlapped);
}
