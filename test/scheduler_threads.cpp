/// What other threads ask of a loop that sleeps in a scripted ring.

#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "scripted_fixture.hpp"

namespace asio = boost::asio;
using fixture = test::scripted_fixture;
using fixture_of_one = test::scripted_fixture_of_one;

namespace {

/// Does something on another thread once the loop has had time to fall asleep.
std::thread later(std::function<void()> f) {
    return std::thread([f = std::move(f)] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        f();
    });
}

auto tracked(rung::io_context& context) {
    return asio::require(context.get_executor(), asio::execution::outstanding_work.tracked);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_post_wakes_a_loop_whose_submission_queue_was_full_when_it_fell_asleep) {
    for (const unsigned entries : {1U, 2U, 4U}) {
        fixture f(test::with_entries(entries));
        // As many operations as there are entries, none of which ends before the post has come.
        for (unsigned i = 0; i < entries; ++i) {
            f.start();
        }
        std::thread poster = later([&] { asio::post(*f.context, [&] { f.s->complete_all(4); }); });
        BOOST_TEST(f.run() == entries + 1);
        poster.join();
        for (const test::outcome& o : f.outcomes) {
            BOOST_TEST(o.completed == 1);
            BOOST_TEST(o.result == 4);
        }
        BOOST_TEST(f.context->statistics().remote_posts == 1U);
        BOOST_TEST(f.context->statistics().wake_ups <= 1U);
    }
}

BOOST_FIXTURE_TEST_CASE(an_operation_started_by_another_thread_wakes_the_loop, fixture_of_one) {
    s->on_enter = [&](auto&) { s->complete_all(1); };
    auto work = tracked(*context);
    std::thread starter = later([&] {
        start();
        work = context->get_executor();
    });
    BOOST_TEST(run() == 1U);
    starter.join();
    BOOST_TEST(outcomes.back().result == 1);
}

BOOST_FIXTURE_TEST_CASE(stop_wakes_the_loop, fixture) {
    start();
    std::thread stopper = later([&] { context->stop(); });
    BOOST_TEST(run() == 0U);
    stopper.join();
    BOOST_TEST(context->stopped());
    BOOST_TEST(!outcomes.back().ended());
}

BOOST_FIXTURE_TEST_CASE(work_given_up_by_another_thread_wakes_the_loop, fixture) {
    auto work = tracked(*context);
    std::thread giver = later([&] { work = context->get_executor(); });
    BOOST_TEST(run() == 0U);
    giver.join();
}

BOOST_FIXTURE_TEST_CASE(a_wake_up_that_the_kernel_has_ended_is_armed_again, fixture) {
    int ended = 0;
    s->on_wait = [&] {
        if (ended < 3) {
            ++ended;
            s->end_wake_ups();
        }
    };
    auto work = tracked(*context);
    std::thread poster = later([&] {
        asio::post(*context, [] {});
        work = context->get_executor();
    });
    BOOST_TEST(run() == 1U);
    poster.join();
    BOOST_TEST(ended == 3);
    BOOST_TEST(s->control.size() == 4U);
    BOOST_TEST(context->statistics().wake_ups <= 2U);
}

BOOST_AUTO_TEST_CASE(a_loop_that_spins_takes_posts_and_operations_without_sleeping) {
    rung::io_context_options options;
    options.spin_before_sleep = std::chrono::seconds(1);
    fixture f(options);
    f.s->on_enter = [&](auto&) { f.s->complete_all(8); };
    auto work = tracked(*f.context);
    std::thread poster = later([&] {
        asio::post(*f.context, [&] {
            f.start();
            work = f.context->get_executor();
        });
    });
    BOOST_TEST(f.run() == 2U);
    poster.join();
    BOOST_TEST(f.outcomes.back().result == 8);
    BOOST_TEST(f.context->statistics().sleeps == 0U);
    BOOST_TEST(f.context->statistics().wake_ups == 0U);
}

BOOST_AUTO_TEST_CASE(a_loop_that_has_spun_in_vain_sleeps) {
    rung::io_context_options options;
    options.spin_before_sleep = std::chrono::milliseconds(2);
    fixture f(options);
    f.start();
    f.s->on_wait = [&] { f.s->complete_all(9); };
    BOOST_TEST(f.run() == 1U);
    BOOST_TEST(f.outcomes.back().result == 9);
    BOOST_TEST(f.context->statistics().sleeps == 1U);
}
