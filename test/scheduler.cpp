/// The end of a context over a scripted ring.

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>
#include <memory>

#include "scripted_fixture.hpp"

namespace asio = boost::asio;
using fixture = test::scripted_fixture;
using rung::detail::io_kind;
using test::with_entries;

BOOST_AUTO_TEST_CASE(a_context_destroys_waiting_and_submitted_operations_without_calling_them) {
    for (const unsigned entries : {1U, 2U, 64U}) {
        for (const bool polled : {false, true}) {
            for (const bool in_turn : {false, true}) {
                fixture f(with_entries(entries));
                for (int i = 0; i < 30; ++i) {
                    f.start(in_turn);
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

BOOST_FIXTURE_TEST_CASE(timers_that_live_in_their_own_handlers_go_with_the_context, fixture) {
    using timer = asio::steady_timer::rebind_executor<rung::executor>::other;
    std::weak_ptr<timer> watched[3];
    for (int i = 0; i < 3; ++i) {
        auto t = std::make_shared<timer>(*context, std::chrono::hours(i));
        watched[i] = t;
        t->async_wait([t](auto) { BOOST_ERROR("it must not run"); });
        t->async_wait([t](auto) { BOOST_ERROR("it must not run"); });
    }
    context.reset();
    for (const std::weak_ptr<timer>& w : watched) {
        BOOST_TEST(w.expired());
    }
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
