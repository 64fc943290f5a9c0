/// Cancellation over a scripted ring.

#include <array>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "scripted_fixture.hpp"

namespace asio = boost::asio;
namespace engine = rung::detail::engine;
using fixture = test::scripted_fixture;
using fixture_of_one = test::scripted_fixture_of_one;
using rung::detail::level;

BOOST_FIXTURE_TEST_CASE(an_operation_cancelled_before_it_has_an_entry_never_reaches_the_kernel,
                        fixture) {
    const test::outcome& o = start();
    cancel();
    BOOST_TEST(!o.ended());  // never within the initiating function, nor within the cancelling one
    BOOST_TEST(run() == 1U);
    BOOST_TEST(o.completed == 1);
    BOOST_TEST(o.result == -ECANCELED);
    BOOST_TEST(s->history.empty());
    BOOST_TEST(s->cancels == 0U);
    const rung::statistics st = context->statistics();
    BOOST_TEST(st.submissions == 0U);
    BOOST_TEST(st.completions == 0U);
    BOOST_TEST(st.in_flight == 0U);
}

BOOST_FIXTURE_TEST_CASE(operations_cancelled_while_the_queue_is_full_end_in_any_case,
                        fixture_of_one) {
    for (int i = 0; i < 50; ++i) {
        start();
    }
    context->poll();
    cancel();
    BOOST_TEST(run() == 50U);
    for (const test::outcome& o : outcomes) {
        BOOST_TEST(o.completed == 1);
        BOOST_TEST(o.result == -ECANCELED);
    }
    const rung::statistics st = context->statistics();
    BOOST_TEST(st.in_flight == 0U);
    BOOST_TEST(st.submissions == st.completions);
    BOOST_TEST(st.submissions == s->history.size());
}

BOOST_FIXTURE_TEST_CASE(operations_that_are_held_back_can_be_cancelled, fixture) {
    rung::io_context_options options;
    options.low_io_in_flight = 1;
    make(options);
    for (int i = 0; i < 5; ++i) {
        start(false, level::low);
    }
    context->poll();
    BOOST_TEST(s->in_flight.size() == 1U);
    cancel();
    BOOST_TEST(run() == 5U);
    BOOST_TEST(s->history.size() == 1U);
    BOOST_TEST(s->cancels == 1U);
}

BOOST_FIXTURE_TEST_CASE(a_submitted_operation_is_cancelled_in_the_kernel, fixture) {
    const test::outcome& other = start();
    context->poll();
    rung::detail::io_list empty;
    engine::move_list(test::engine_of(*context), empty, list);
    const test::outcome& o = start();
    context->poll();
    BOOST_TEST(s->in_flight.size() == 2U);
    cancel();
    cancel();  // the second time makes no difference
    context->poll();
    BOOST_TEST(s->cancels == 1U);
    BOOST_TEST(s->control.back().addr == tags[1]);
    BOOST_TEST(o.completed == 1);
    BOOST_TEST(o.result == -ECANCELED);
    BOOST_TEST(!other.ended());
    s->complete(tags[0], 1);
    BOOST_TEST(run() == 1U);
    BOOST_TEST(other.result == 1);
    BOOST_TEST(context->statistics().in_flight == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_finished_operation_keeps_its_result_when_it_is_cancelled, fixture) {
    const test::outcome& o = start();
    context->poll();
    asio::post(*context, [&] {
        s->complete(tags[0], 42);
        s->deliver();
        asio::post(*context, [&] { cancel(); });  // runs when the completion is queued behind it
    });
    BOOST_TEST(run() == 3U);
    BOOST_TEST(o.completed == 1);
    BOOST_TEST(o.result == 42);
    BOOST_TEST(s->cancels == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_cancel_is_forgotten_if_the_operation_ends_before_it_is_submitted,
                        fixture) {
    // Three of them, so that each place in the list of cancellations is the one that goes. Those of
    // slots wait for the next pass; what cancels a whole object is submitted at once.
    std::array<rung::detail::cancel_link, 3> links;
    for (rung::detail::cancel_link& link : links) {
        link.engine = &test::engine_of(*context);
        start(false, level::normal, &link);
    }
    context->poll();
    asio::post(*context, [&] {
        for (rung::detail::cancel_link& link : links) {
            engine::cancel(link);
        }
        for (const std::size_t next : {1U, 2U, 0U}) {
            s->complete(tags[next], 42);
            s->deliver();
        }
    });
    BOOST_TEST(run() == 4U);
    for (const test::outcome& o : outcomes) {
        BOOST_TEST(o.completed == 1);
        BOOST_TEST(o.result == 42);
    }
    BOOST_TEST(s->cancels == 0U);
}

BOOST_FIXTURE_TEST_CASE(an_entry_that_the_kernel_has_not_taken_yet_is_withdrawn, fixture) {
    s->accept_at_most = 1;
    for (int i = 0; i < 6; ++i) {
        start(false, level::low);
    }
    context->poll();
    const std::size_t taken = s->history.size();
    BOOST_REQUIRE(taken < 6U);
    cancel();
    BOOST_TEST(run() == 6U);
    for (const test::outcome& o : outcomes) {
        BOOST_TEST(o.completed == 1);
        BOOST_TEST(o.result == -ECANCELED);
    }
    BOOST_TEST(s->history.size() == taken);
    BOOST_TEST(context->statistics().in_flight == 0U);
    // Nothing is left that would hold back the next ones.
    s->on_wait = [&] { s->complete_all(2); };
    const test::outcome& o = start();
    BOOST_TEST(run() == 1U);
    BOOST_TEST(o.result == 2);
}

BOOST_FIXTURE_TEST_CASE(a_cancel_that_comes_too_late_changes_nothing, fixture) {
    const test::outcome& o = start();
    context->poll();
    s->ignore_cancels = true;
    s->on_wait = [&] { s->complete_all(17); };
    cancel();
    BOOST_TEST(run() == 1U);
    BOOST_TEST(s->cancels == 1U);
    BOOST_TEST(o.completed == 1);
    BOOST_TEST(o.result == 17);
}

BOOST_FIXTURE_TEST_CASE(a_cancelled_operation_is_not_started_again, fixture) {
    for (const int early : {EINTR, ECANCELED, EAGAIN}) {
        s->ignore_cancels = false;
        const test::outcome& o = start();
        context->poll();
        s->ignore_cancels = true;
        s->on_wait = [&] { s->complete_all(-early); };
        cancel();
        BOOST_TEST(run() == 1U);
        BOOST_TEST(o.completed == 1);
        BOOST_TEST(o.result == -ECANCELED);
    }
    BOOST_TEST(s->history.size() == 3U);
    BOOST_TEST(context->statistics().restarts == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_slot_cancels_its_own_operation_and_no_other, fixture) {
    rung::detail::cancel_link link;
    link.engine = &test::engine_of(*context);
    const test::outcome& other = start();
    const test::outcome& mine = start(false, level::normal, &link);
    context->poll();
    engine::cancel(link);
    context->poll();
    BOOST_TEST(mine.result == -ECANCELED);
    BOOST_TEST(mine.completed == 1);
    BOOST_TEST(link.op.load() == nullptr);  // the tie ends with the operation
    engine::cancel(link);
    BOOST_TEST(!other.ended());
    s->complete_all(0);
    BOOST_TEST(run() == 1U);
    BOOST_TEST(other.result == 0);
}

BOOST_FIXTURE_TEST_CASE(an_unlinked_slot_cancels_nothing, fixture) {
    rung::detail::cancel_link link;
    link.engine = &test::engine_of(*context);
    const test::outcome& o = start(false, level::normal, &link);
    engine::unlink(link);
    engine::cancel(link);
    s->on_wait = [&] { s->complete_all(3); };
    BOOST_TEST(run() == 1U);
    BOOST_TEST(o.result == 3);
}

BOOST_FIXTURE_TEST_CASE(another_thread_cancels_while_the_loop_sleeps, fixture_of_one) {
    const test::outcome& o = start();
    std::thread canceller([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        cancel();
    });
    BOOST_TEST(run() == 1U);
    canceller.join();
    BOOST_TEST(o.completed == 1);
    BOOST_TEST(o.result == -ECANCELED);
}

BOOST_FIXTURE_TEST_CASE(detached_operations_are_cancelled_and_belong_to_no_object, fixture) {
    start();
    start();
    context->poll();
    start();  // not submitted yet
    asio::post(*context, [&] {
        engine::detach(test::engine_of(*context), list);
        BOOST_TEST(list.empty());
        BOOST_TEST(s->in_flight.empty());  // the kernel has let go within the call
    });
    BOOST_TEST(run() == 4U);
    for (const test::outcome& o : outcomes) {
        BOOST_TEST(o.completed == 1);
        BOOST_TEST(o.result == -ECANCELED);
    }
}

BOOST_FIXTURE_TEST_CASE(detaching_waits_for_operations_that_the_kernel_still_works_on, fixture) {
    start();
    start();
    context->poll();
    s->ignore_cancels = true;
    int waits = 0;
    s->on_wait = [&] {
        if (++waits == 3) {
            s->complete_all(-ECANCELED);
        }
    };
    asio::post(*context, [&] {
        engine::detach(test::engine_of(*context), list);
        BOOST_TEST(s->in_flight.empty());
        BOOST_TEST(!outcomes[0].ended());  // their handlers run later, as always
    });
    BOOST_TEST(run() == 3U);
    BOOST_TEST(waits == 3);
    BOOST_TEST(outcomes[0].result == -ECANCELED);
    BOOST_TEST(outcomes[1].result == -ECANCELED);
}

BOOST_FIXTURE_TEST_CASE(detaching_does_not_wait_for_ever, fixture) {
    const test::outcome& o = start();
    context->poll();
    s->ignore_cancels = true;
    asio::post(*context, [&] {
        engine::detach(test::engine_of(*context), list);
        BOOST_TEST(s->in_flight.size() == 1U);
        BOOST_TEST(list.empty());
        s->on_wait = [&] { s->complete_all(-ECANCELED); };
    });
    const auto begin = std::chrono::steady_clock::now();
    BOOST_TEST(run() == 2U);
    BOOST_TEST((std::chrono::steady_clock::now() - begin < std::chrono::seconds(10)));
    BOOST_TEST(o.completed == 1);
}

BOOST_FIXTURE_TEST_CASE(operations_in_turn_reach_the_kernel_one_after_the_other, fixture) {
    for (int i = 0; i < 4; ++i) {
        start(true);
    }
    s->on_wait = [&] {
        BOOST_TEST(s->in_flight.size() == 1U);
        s->complete_all(static_cast<std::int32_t>(s->history.size()));
    };
    BOOST_TEST(run() == 4U);
    BOOST_REQUIRE(s->history.size() == 4U);
    for (std::size_t i = 0; i < 4; ++i) {
        BOOST_TEST(s->history[i].user_data == tags[i]);
        BOOST_TEST(outcomes[i].result == static_cast<std::int32_t>(i) + 1);
    }
}

BOOST_FIXTURE_TEST_CASE(an_operation_that_is_tried_again_keeps_its_turn, fixture) {
    start(true);
    start(true);
    int answers = 0;
    s->on_wait = [&] { s->complete_all(++answers < 3 ? -EINTR : answers); };
    BOOST_TEST(run() == 2U);
    BOOST_REQUIRE(s->history.size() == 4U);
    BOOST_TEST(s->history[2].user_data == tags[0]);
    BOOST_TEST(s->history[3].user_data == tags[1]);
    BOOST_TEST(outcomes[0].result == 3);
    BOOST_TEST(outcomes[1].result == 4);
}

BOOST_FIXTURE_TEST_CASE(the_next_in_turn_goes_when_the_first_is_cancelled, fixture) {
    rung::detail::cancel_link link;
    link.engine = &test::engine_of(*context);
    for (const bool submitted : {false, true}) {
        s->history.clear();
        const test::outcome& first = start(true, level::normal, &link);
        const test::outcome& second = start(true);
        if (submitted) {
            context->poll();
        }
        engine::cancel(link);
        s->on_wait = [&] { s->complete_all(5); };
        BOOST_TEST(run() == 2U);
        BOOST_TEST(first.result == -ECANCELED);
        BOOST_TEST(second.result == 5);
        BOOST_TEST(s->history.size() == (submitted ? 2U : 1U));
    }
}

BOOST_FIXTURE_TEST_CASE(one_that_waits_for_its_turn_is_cancelled_at_once, fixture) {
    rung::detail::cancel_link link;
    link.engine = &test::engine_of(*context);
    const test::outcome& first = start(true);
    const test::outcome& second = start(true, level::normal, &link);
    const test::outcome& third = start(true);
    context->poll();
    engine::cancel(link);
    context->poll();
    BOOST_TEST(second.result == -ECANCELED);
    BOOST_TEST(second.completed == 1);
    BOOST_TEST(!first.ended());
    BOOST_TEST(!third.ended());
    s->on_wait = [&] { s->complete_all(6); };
    BOOST_TEST(run() == 2U);
    BOOST_TEST(first.result == 6);
    BOOST_TEST(third.result == 6);
    BOOST_TEST(s->history.size() == 2U);
}

BOOST_FIXTURE_TEST_CASE(all_that_wait_for_their_turn_are_cancelled_together, fixture) {
    for (const bool submitted : {false, true}) {
        outcomes.clear();
        for (int i = 0; i < 5; ++i) {
            start(true);
        }
        if (submitted) {
            context->poll();
        }
        cancel();
        BOOST_TEST(run() == 5U);
        for (const test::outcome& o : outcomes) {
            BOOST_TEST(o.completed == 1);
            BOOST_TEST(o.result == -ECANCELED);
        }
    }
    BOOST_TEST(s->history.size() == 1U);  // of the second round, the first
}
