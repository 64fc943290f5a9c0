/// Cancellation, and the end of a context, over a scripted ring.

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "probe_operation.hpp"
#include "scripted_backend.hpp"

namespace asio = boost::asio;
namespace engine = rung::detail::engine;
using rung::detail::io_kind;
using rung::detail::level;

namespace {

rung::io_context_options with_entries(unsigned n) {
    rung::io_context_options options;
    options.ring_entries = n;
    return options;
}

struct fixture {
    explicit fixture(const rung::io_context_options& options = {}) { context.emplace(s, options); }

    test::outcome& start(level io = level::normal) {
        test::outcome& o = outcomes.emplace_back();
        auto* const p = new test::probe(o);
        p->kind = io_kind::receive;
        p->io_level = io;
        tags.push_back(test::tag_of(p));
        test::start(*context, p, &list);
        return o;
    }

    void cancel() { engine::cancel_all(test::engine_of(*context), list); }

    /// Runs until nothing is left to do; gives the number of handlers.
    std::size_t run() {
        context->restart();
        return context->run();
    }

    std::shared_ptr<test::script> s = std::make_shared<test::script>();
    std::deque<test::outcome> outcomes;
    std::vector<std::uint64_t> tags;
    rung::detail::io_list list;
    std::optional<test::scripted_context> context;
};

struct fixture_of_one : fixture {
    fixture_of_one() : fixture(with_entries(1)) {}
};

}  // namespace

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
    context.reset();
    s = std::make_shared<test::script>();
    rung::io_context_options options;
    options.low_io_in_flight = 1;
    context.emplace(s, options);
    for (int i = 0; i < 5; ++i) {
        start(level::low);
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
    test::outcome& mine = outcomes.emplace_back();
    test::start(*context, new test::probe(mine), &list, &link);
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
    test::outcome& o = outcomes.emplace_back();
    test::start(*context, new test::probe(o), &list, &link);
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

BOOST_AUTO_TEST_CASE(a_context_destroys_waiting_and_submitted_operations_without_calling_them) {
    for (const unsigned entries : {1U, 2U, 64U}) {
        for (const bool polled : {false, true}) {
            fixture f(with_entries(entries));
            for (int i = 0; i < 30; ++i) {
                f.start();
            }
            if (polled) {
                f.context->poll();
            }
            f.context.reset();
            for (const test::outcome& o : f.outcomes) {
                BOOST_TEST(o.completed == 0);
                BOOST_TEST(o.destroyed == 1);
            }
            BOOST_TEST(f.s->in_flight.empty());
        }
    }
}

BOOST_FIXTURE_TEST_CASE(an_operation_lives_until_its_last_completion_though_the_context_ends,
                        fixture) {
    // The kernel does not let go of the first until it was asked three times.
    struct buffer {
        char bytes[64];
    };
    auto memory = std::make_unique<buffer>();
    test::outcome& slow = outcomes.emplace_back();
    auto* const p = new test::probe(slow);
    p->kind = io_kind::receive;
    p->address = memory->bytes;
    p->on_destroy = [&] { memory.reset(); };
    test::start(*context, p);
    const test::outcome& quick = start();
    context->poll();
    BOOST_TEST(s->in_flight.size() == 2U);
    s->ignore_cancels = true;
    int waits = 0;
    s->on_wait = [&] {
        BOOST_REQUIRE(!slow.ended());
        BOOST_REQUIRE(memory != nullptr);
        std::memset(memory->bytes, ++waits, sizeof memory->bytes);
        if (waits == 1) {
            s->complete(tags[0], -ECANCELED);
        } else if (waits == 3) {
            s->complete(test::tag_of(p), 64);
        }
    };
    context.reset();
    BOOST_TEST(waits == 3);
    BOOST_TEST(slow.destroyed == 1);
    BOOST_TEST(slow.completed == 0);
    BOOST_TEST(quick.destroyed == 1);
    BOOST_TEST(memory == nullptr);
}

BOOST_AUTO_TEST_CASE(a_context_ends_though_its_last_system_calls_fail) {
    for (const unsigned entries : {1U, 4U}) {
        for (const int error : {EINTR, EAGAIN, EBUSY, ETIME, ENXIO}) {
            for (std::size_t times = 0; times < 6; ++times) {
                fixture f(with_entries(entries));
                for (int i = 0; i < 10; ++i) {
                    f.start();
                }
                if (times % 2 == 0) {
                    f.context->poll();
                }
                f.s->failures.assign(times, -error);
                f.context.reset();
                for (const test::outcome& o : f.outcomes) {
                    BOOST_REQUIRE(o.destroyed == 1);
                    BOOST_REQUIRE(o.completed == 0);
                }
            }
        }
    }
}

BOOST_FIXTURE_TEST_CASE(what_handlers_start_as_they_are_destroyed_is_destroyed_as_well, fixture) {
    // Each operation that is destroyed starts another one, as an object's destructor may.
    test::outcome first;
    test::outcome second;
    test::outcome third;
    auto* const p = new test::probe(first);
    p->on_destroy = [&] {
        auto* const q = new test::probe(second);
        q->on_destroy = [&] { test::start(*context, new test::probe(third)); };
        test::start(*context, q);
        asio::post(*context, [] { BOOST_ERROR("it must not run"); });
    };
    test::start(*context, p);
    context->poll();
    // The optional must stay engaged for the handlers, so the context is destroyed by hand.
    std::destroy_at(&*context);
    BOOST_TEST(first.destroyed == 1);
    BOOST_TEST(second.destroyed == 1);
    BOOST_TEST(third.destroyed == 1);
    std::construct_at(&*context, std::make_shared<test::script>());
}

BOOST_AUTO_TEST_CASE(a_context_may_be_destroyed_after_any_number_of_handlers) {
    for (std::size_t handlers = 0; handlers <= 12; ++handlers) {
        fixture f(with_entries(2));
        using timer = asio::steady_timer::rebind_executor<rung::executor>::other;
        std::size_t ran = 0;
        {
            timer t(*f.context, std::chrono::hours(1));
            timer soon(*f.context, std::chrono::nanoseconds(1));
            t.async_wait([&](auto) { ++ran; });
            soon.async_wait([&](auto) { ++ran; });
            for (int i = 0; i < 6; ++i) {
                f.start();
                asio::post(*f.context, [&] { ++ran; });
            }
            f.s->on_enter = [&](const test::script::entries& taken) {
                for (const io_uring_sqe& e : taken) {
                    if (e.user_data != f.tags[2]) {
                        f.s->complete(e, 0);
                    }
                }
            };
            for (std::size_t i = 0; i < handlers; ++i) {
                BOOST_TEST(f.context->run_one_for(std::chrono::seconds(10)) == 1U);
            }
        }
        f.context.reset();
        std::size_t completed = 0;
        for (const test::outcome& o : f.outcomes) {
            BOOST_TEST(o.completed + o.destroyed == 1);
            completed += static_cast<std::size_t>(o.completed);
        }
        BOOST_TEST(ran + completed == handlers);
    }
}
