/// Operations on their way into a scripted ring and back.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "answering_fixture.hpp"

namespace asio = boost::asio;
using rung::detail::io_kind;
using test::io_fixture;
using test::with_entries;

BOOST_FIXTURE_TEST_CASE(operations_complete_in_the_order_of_the_script, io_fixture) {
    constexpr std::size_t n = 10;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < n; ++i) {
        test::probe* const p = make();
        p->on_complete = [&order, i] { order.push_back(i); };
        test::start(context, p);
    }
    s->on_enter = [&](const test::script::entries& taken) {
        for (std::size_t i = taken.size(); i != 0; --i) {
            s->complete(taken[i - 1], static_cast<std::int32_t>(i));
        }
    };
    BOOST_TEST(context.run() == n);
    BOOST_REQUIRE(order.size() == n);
    for (std::size_t i = 0; i < n; ++i) {
        BOOST_TEST(order[i] == n - 1 - i);
        BOOST_TEST(outcomes[i].completed == 1);
        BOOST_TEST(outcomes[i].result == static_cast<std::int32_t>(i) + 1);
    }
    const rung::statistics st = context.statistics();
    BOOST_TEST(st.submissions == n);
    BOOST_TEST(st.completions == n);
    BOOST_TEST(st.in_flight == 0U);
    BOOST_TEST(st.system_calls == s->enters);
    BOOST_TEST(st.submission_overflows == 0U);
    BOOST_TEST(st.completion_overflows == 0U);
    BOOST_TEST(st.restarts == 0U);
    BOOST_TEST(st.handlers[1] == n);
}

BOOST_AUTO_TEST_CASE(ten_thousand_operations_pass_through_a_queue_of_a_few_entries) {
    constexpr std::size_t n = 10'000;
    for (const unsigned entries : {1U, 2U, 4U}) {
        for (const unsigned accept_at_most : {1U, 3U, 100U}) {
            for (const bool at_once : {true, false}) {
                io_fixture f(with_entries(entries));
                f.s->accept_at_most = accept_at_most;
                // At once, or only when the loop has nothing else to do.
                if (at_once) {
                    f.s->on_enter = [&](auto&) { f.s->complete_all(7); };
                } else {
                    f.s->on_wait = [&] { f.s->complete_all(7); };
                }
                for (std::size_t i = 0; i < n; ++i) {
                    test::start(f.context, f.make());
                }
                BOOST_TEST(f.context.run() == n);
                bool good = true;
                for (const test::outcome& o : f.outcomes) {
                    good = good && o.completed == 1 && o.result == 7;
                }
                BOOST_TEST(good);
                const rung::statistics st = f.context.statistics();
                BOOST_TEST(st.submissions == n);
                BOOST_TEST(st.completions == n);
                BOOST_TEST(st.in_flight == 0U);
                BOOST_TEST(st.submission_overflows > 0U);
                // All of them at once are more than the completion queue holds.
                BOOST_TEST((st.completion_overflows > 0) == !at_once);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(operations_that_wait_for_an_entry_keep_their_order) {
    io_fixture f(with_entries(2));
    f.answer(std::deque<std::int32_t>(500, 0));
    std::vector<std::uint64_t> tags;
    asio::post(f.context, [&] {
        for (int i = 0; i < 500; ++i) {
            test::probe* const p = f.make();
            tags.push_back(test::tag_of(p));
            test::start(f.context, p);
        }
    });
    f.context.run();
    BOOST_REQUIRE(f.s->history.size() == tags.size());
    for (std::size_t i = 0; i < tags.size(); ++i) {
        BOOST_REQUIRE(f.s->history[i].user_data == tags[i]);
    }
}

BOOST_FIXTURE_TEST_CASE(a_receive_that_finds_data_needs_no_entry, io_fixture) {
    int pair[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    rung::detail::io_list list;
    char received[8] = {};
    const auto receive = [&](std::deque<std::int32_t> answers) {
        answer(std::move(answers));
        test::probe* const p = make(io_kind::receive);
        p->descriptor = pair[0];
        p->address = received;
        p->length = sizeof received;
        p->try_first = true;
        test::start(context, p, &list);
        context.restart();
        BOOST_TEST(context.run() == 1U);
        BOOST_TEST(outcomes.back().completed == 1);
        return outcomes.back().result;
    };
    BOOST_REQUIRE(::write(pair[1], "abc", 3) == 3);
    BOOST_TEST(receive({}) == 3);
    BOOST_TEST(std::string(received) == "abc");
    BOOST_TEST(context.statistics().speculated == 1U);
    BOOST_TEST(context.statistics().submissions == 0U);
    // Without data it goes through the ring, and the kernel need not try once more.
    BOOST_TEST(receive({5}) == 5);
    BOOST_REQUIRE(s->history.size() == 1U);
    BOOST_TEST(s->history[0].ioprio == IORING_RECVSEND_POLL_FIRST);
    // After a second miss, one in eight is tried.
    BOOST_TEST(receive({5}) == 5);
    BOOST_REQUIRE(::write(pair[1], "de", 2) == 2);
    for (int i = 0; i < 7; ++i) {
        BOOST_TEST(receive({6}) == 6);
    }
    BOOST_TEST(receive({}) == 2);
    BOOST_TEST(context.statistics().speculated == 2U);
    BOOST_TEST(s->history.size() == 9U);
    // An error is an answer as well.
    ::close(pair[1]);
    BOOST_TEST(receive({}) == 0);
    ::close(pair[0]);
    BOOST_TEST(receive({}) == -EBADF);
}
