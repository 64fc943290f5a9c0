/// The loop over a scripted ring: failing system calls, wake-ups, and what runs first.

#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "scripted_fixture.hpp"

namespace asio = boost::asio;
using rung::detail::level;
using test::with_entries;

namespace {

struct loop_fixture {
    explicit loop_fixture(const rung::io_context_options& options = {}) : context(s, options) {}

    /// A probe that writes a letter into the log when it completes.
    test::probe* make(char letter, level l = level::normal, level io = level::normal) {
        auto* const p = new test::probe(outcomes.emplace_back(), l);
        p->io_level = io;
        p->on_complete = [this, letter] { log += letter; };
        return p;
    }

    /// Posts a handler that writes a letter into the log.
    void post(char letter, const rung::priority& p = rung::priority::normal) {
        asio::post(asio::require(context.get_executor(), p), [this, letter] { log += letter; });
    }

    std::size_t completed() const {
        std::size_t n = 0;
        for (const test::outcome& o : outcomes) {
            n += o.completed == 1 ? 1 : 0;
        }
        return n;
    }

    /// Runs until a system error leaves `run()`; gives its code.
    int run_into_error() {
        try {
            context.run();
        } catch (const boost::system::system_error& e) {
            BOOST_TEST(!std::string(e.what()).empty());
            return e.code().value();
        }
        return 0;
    }

    std::shared_ptr<test::script> s = std::make_shared<test::script>();
    std::deque<test::outcome> outcomes;
    std::string log;
    test::scripted_context context;
};

struct loop_of_one : loop_fixture {
    loop_of_one() : loop_fixture(with_entries(1)) {}
};

void complete_at_once(test::script& s) {
    s.on_enter = [&s](auto&) { s.complete_all(0); };
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_system_call_that_fails_for_the_moment_is_made_again) {
    for (const int error : {EINTR, EAGAIN, EBUSY, ETIME}) {
        for (const unsigned entries : {1U, 4U, 64U}) {
            for (const std::size_t times : {1U, 2U, 7U}) {
                loop_fixture f(with_entries(entries));
                complete_at_once(*f.s);
                f.s->failures.assign(times, -error);
                for (int i = 0; i < 20; ++i) {
                    test::start(f.context, f.make('x'));
                }
                BOOST_TEST(f.context.run() == 20U);
                BOOST_TEST(f.completed() == 20U);
                BOOST_TEST(f.s->failures.empty());
                BOOST_TEST(f.s->history.size() == 20U);
                BOOST_TEST(f.context.statistics().in_flight == 0U);
                BOOST_TEST(f.context.statistics().system_calls == f.s->enters);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(an_unexpected_failure_leaves_run_which_may_be_called_again) {
    for (const unsigned entries : {1U, 4U, 64U}) {
        for (const std::size_t times : {1U, 3U}) {
            loop_fixture f(with_entries(entries));
            complete_at_once(*f.s);
            f.s->failures.assign(times, -ENXIO);
            for (int i = 0; i < 20; ++i) {
                test::start(f.context, f.make('x'));
            }
            int errors = 0;
            while (const int e = f.run_into_error()) {
                BOOST_TEST(e == ENXIO);
                BOOST_TEST(!f.context.stopped());
                BOOST_REQUIRE(++errors <= 10);
            }
            BOOST_TEST(errors > 0);
            BOOST_TEST(f.completed() == 20U);
            BOOST_TEST(f.context.stopped());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_ring_that_fails_for_good_does_not_hold_run_captive) {
    for (const unsigned entries : {1U, 64U}) {
        loop_fixture f(with_entries(entries));
        complete_at_once(*f.s);
        f.s->always_fail = -ENXIO;
        for (int i = 0; i < 5; ++i) {
            test::start(f.context, f.make('x'));
        }
        f.post('p');
        for (int i = 0; i < 3; ++i) {
            BOOST_TEST(f.run_into_error() == ENXIO);
        }
        BOOST_TEST(f.log == "p");  // what needs no ring has run
        BOOST_CHECK_THROW(f.context.poll(), boost::system::system_error);
        BOOST_CHECK_THROW(f.context.run_for(std::chrono::milliseconds(5)),
                          boost::system::system_error);
        f.s->always_fail = 0;
        BOOST_TEST(f.run_into_error() == 0);
        BOOST_TEST(f.completed() == 5U);
    }
}

BOOST_FIXTURE_TEST_CASE(a_handler_that_throws_leaves_the_others_and_the_ring_in_place,
                        loop_fixture) {
    complete_at_once(*s);
    test::probe* const thrower = make('t');
    thrower->on_complete = [] { throw 7; };
    test::start(context, make('a'));
    test::start(context, thrower);
    test::start(context, make('b'));
    BOOST_CHECK_THROW(context.run(), int);
    BOOST_TEST(log == "a");
    BOOST_TEST(!context.stopped());
    BOOST_TEST(context.run() == 1U);
    BOOST_TEST(log == "ab");
}

BOOST_FIXTURE_TEST_CASE(within_a_batch_urgent_operations_reach_the_kernel_first, loop_fixture) {
    complete_at_once(*s);
    std::vector<std::uint64_t> tags;
    asio::post(context, [&] {
        for (const level io : {level::low, level::normal, level::high, level::low, level::high}) {
            test::probe* const p = make('x', level::normal, io);
            tags.push_back(test::tag_of(p));
            test::start(context, p);
        }
    });
    context.run();
    BOOST_REQUIRE(s->history.size() == 5U);
    const std::vector<std::size_t> expected{2, 4, 1, 0, 3};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        BOOST_TEST(s->history[i].user_data == tags[expected[i]]);
    }
}

BOOST_AUTO_TEST_CASE(of_low_operations_at_most_so_many_are_in_the_kernel) {
    rung::io_context_options options;
    options.low_io_in_flight = 2;
    loop_fixture f(options);
    for (int i = 0; i < 20; ++i) {
        test::start(f.context, f.make('l', level::normal, level::low));
    }
    for (int i = 0; i < 5; ++i) {
        test::start(f.context, f.make('n'));
    }
    std::size_t most_low = 0;
    f.s->on_wait = [&] {
        std::size_t low = 0;
        for (const io_uring_sqe& e : f.s->in_flight) {
            low += reinterpret_cast<test::probe*>(e.user_data)->io_level == level::low ? 1 : 0;
        }
        most_low = std::max(most_low, low);
        f.s->complete_all(0);
    };
    BOOST_TEST(f.context.run() == 25U);
    BOOST_TEST(most_low == 2U);
    BOOST_TEST(f.s->history.size() == 25U);
    BOOST_TEST(f.log.substr(0, 7).find_first_of('n') != std::string::npos);
    BOOST_TEST(f.completed() == 25U);
    BOOST_TEST(f.context.statistics().submissions == 25U);
}

BOOST_FIXTURE_TEST_CASE(an_urgent_completion_overtakes_the_handlers_that_wait, loop_fixture) {
    test::probe* const urgent = make('U', level::high);
    const std::uint64_t tag = test::tag_of(urgent);
    test::start(context, urgent);
    context.poll();
    asio::post(context, [&] {
        log += '1';
        s->complete(tag, 0);
        s->deliver();  // it shows while the handler runs
    });
    for (int i = 0; i < 10; ++i) {
        post('n');
    }
    context.run();
    BOOST_TEST(log == "1Unnnnnnnnnn");
}

BOOST_FIXTURE_TEST_CASE(the_loop_fetches_urgent_completions_that_only_a_system_call_brings,
                        loop_fixture) {
    test::probe* const urgent = make('U', level::high);
    const std::uint64_t tag = test::tag_of(urgent);
    test::start(context, urgent);
    context.poll();
    asio::post(context, [&] {
        log += '1';
        s->complete(tag, 0);
        s->announce_work();
    });
    for (int i = 0; i < 10; ++i) {
        post('n');
    }
    context.run();
    BOOST_TEST(log == "1Unnnnnnnnnn");
}

BOOST_FIXTURE_TEST_CASE(completions_that_are_not_urgent_wait_for_the_end_of_a_pass, loop_fixture) {
    test::probe* const p = make('c');
    const std::uint64_t tag = test::tag_of(p);
    test::start(context, p);
    context.poll();
    const unsigned before = s->enters;
    asio::post(context, [&] {
        s->complete(tag, 0);
        s->announce_work();
    });
    for (int i = 0; i < 200; ++i) {
        post('n');
    }
    unsigned enters = 0;
    asio::post(context, [&] { enters = s->enters - before; });
    context.run();
    // No system call a handler; and yet it was fetched long before the handlers had all run.
    BOOST_TEST(enters <= 5U);
    BOOST_TEST(completed() == 1U);
}

BOOST_FIXTURE_TEST_CASE(an_urgent_operation_reaches_the_kernel_before_the_next_handler,
                        loop_fixture) {
    bool there = false;
    asio::post(context, [&] { test::start(context, make('U', level::high)); });
    asio::post(context, [&] {
        there = !s->in_flight.empty();
        s->complete_all(0);
    });
    for (int i = 0; i < 5; ++i) {
        post('n');
    }
    context.run();
    BOOST_TEST(there);
    BOOST_TEST(completed() == 1U);
}

BOOST_FIXTURE_TEST_CASE(an_urgent_timer_overtakes_the_handlers_that_wait, loop_fixture) {
    using timer = asio::steady_timer::rebind_executor<rung::executor>::other;
    timer t(asio::require(context.get_executor(), rung::priority::high),
            std::chrono::milliseconds(1));
    t.async_wait([&](auto) { log += 'U'; });
    asio::post(context, [&] {
        log += '1';
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    });
    for (int i = 0; i < 5; ++i) {
        post('n');
    }
    context.run();
    BOOST_TEST(log == "1Unnnnn");
}

BOOST_FIXTURE_TEST_CASE(completions_of_each_level_run_in_the_order_of_their_levels, loop_fixture) {
    for (const auto& [letter, l] :
         {std::pair('l', level::low), std::pair('n', level::normal), std::pair('h', level::high),
          std::pair('l', level::low), std::pair('n', level::normal), std::pair('h', level::high)}) {
        test::start(context, make(letter, l));
    }
    s->on_wait = [&] { s->complete_all(0); };
    context.run();
    BOOST_TEST(log == "hhnnll");
    const rung::statistics st = context.statistics();
    BOOST_TEST(st.handlers[0] == 2U);
    BOOST_TEST(st.handlers[1] == 2U);
    BOOST_TEST(st.handlers[2] == 2U);
}

BOOST_AUTO_TEST_CASE(time_is_measured_where_that_was_asked_for_and_only_there) {
    for (const bool measure : {false, true}) {
        rung::io_context_options options;
        options.measure_time = measure;
        loop_fixture f(options);
        test::start(f.context, f.make('x'));
        asio::post(f.context, [] { std::this_thread::sleep_for(std::chrono::milliseconds(3)); });
        f.s->on_wait = [&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(4));
            f.s->complete_all(0);
        };
        f.context.run();
        const rung::statistics st = f.context.statistics();
        BOOST_TEST((st.handler_time_ns >= 3'000'000) == measure);
        BOOST_TEST((st.sleep_time_ns >= 4'000'000) == measure);
        BOOST_TEST((st.handler_time_ns == 0) == !measure);
        BOOST_TEST((st.sleep_time_ns == 0) == !measure);
    }
}

BOOST_FIXTURE_TEST_CASE(completions_beyond_the_queues_room_are_counted_and_fetched, loop_of_one) {
    for (int i = 0; i < 100; ++i) {
        test::start(context, make('x'));
    }
    s->on_wait = [&] { s->complete_all(0); };
    BOOST_TEST(context.run() == 100U);
    BOOST_TEST(completed() == 100U);
    // The completion queue has room for four.
    const std::uint64_t overflows = context.statistics().completion_overflows;
    BOOST_TEST(overflows >= 1U);
    BOOST_TEST(overflows <= 25U);
}
