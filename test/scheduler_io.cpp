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

#include "scripted_fixture.hpp"

namespace asio = boost::asio;
using rung::detail::io_kind;
using test::with_entries;

namespace {

struct io_fixture {
    explicit io_fixture(const rung::io_context_options& options = {}) : context(s, options) {}

    /// A probe with an outcome of its own.
    test::probe* make(io_kind kind = io_kind::nop) {
        auto* const p = new test::probe(outcomes.emplace_back());
        p->kind = kind;
        return p;
    }

    /// Answers each entry with the next of these results; the rest stay in flight.
    void answer(std::deque<std::int32_t> with) {
        results = std::move(with);
        s->on_enter = [this](const test::script::entries& taken) {
            for (const io_uring_sqe& e : taken) {
                if (!results.empty()) {
                    s->complete(e, results.front());
                    results.pop_front();
                }
            }
        };
    }

    /// Runs one operation against these answers; gives its result, and what it asked for.
    std::int32_t run(test::probe* p, std::deque<std::int32_t> answers) {
        answer(std::move(answers));
        test::start(context, p);
        context.restart();
        BOOST_TEST(context.run() == 1U);
        BOOST_TEST(outcomes.back().completed == 1);
        BOOST_TEST(results.empty());
        BOOST_TEST(context.statistics().in_flight == 0U);
        return outcomes.back().result;
    }

    std::vector<int> opcodes() const {
        std::vector<int> all;
        for (const io_uring_sqe& e : s->history) {
            all.push_back(e.opcode);
        }
        return all;
    }

    std::shared_ptr<test::script> s = std::make_shared<test::script>();
    std::deque<std::int32_t> results;
    std::deque<test::outcome> outcomes;
    test::scripted_context context;
};

using opcode_list = std::vector<int>;

/// A UDP socket on which an error waits, as on one whose connection failed.
int socket_with_error(int expected) {
    const int closed = ::socket(AF_INET, SOCK_DGRAM, 0);
    const int s = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    BOOST_REQUIRE(::bind(closed, generic, size) == 0);
    BOOST_REQUIRE(::getsockname(closed, generic, &size) == 0);
    ::close(closed);
    BOOST_REQUIRE(::connect(s, generic, size) == 0);
    BOOST_REQUIRE(::send(s, "", 0, 0) == 0);
    pollfd p{.fd = s, .events = POLLIN, .revents = 0};
    BOOST_REQUIRE(::poll(&p, 1, 5'000) == 1);
    BOOST_REQUIRE(expected == ECONNREFUSED);
    return s;
}

}  // namespace

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

BOOST_FIXTURE_TEST_CASE(an_operation_that_the_kernel_ended_early_is_started_again, io_fixture) {
    for (const int early : {ECANCELED, EINTR}) {
        const std::uint64_t restarts = context.statistics().restarts;
        s->history.clear();
        BOOST_TEST(run(make(io_kind::receive), {-early, -early, -early, 5}) == 5);
        BOOST_TEST(opcodes() == opcode_list(4, IORING_OP_RECV), boost::test_tools::per_element());
        BOOST_TEST(context.statistics().restarts == restarts + 3);
    }
    BOOST_TEST(context.statistics().submissions == 8U);
    BOOST_TEST(context.statistics().completions == 8U);
}

BOOST_FIXTURE_TEST_CASE(an_operation_that_would_block_waits_for_its_events_and_tries_again,
                        io_fixture) {
    test::probe* const p = make(io_kind::receive);
    p->events = POLLIN;
    BOOST_TEST(run(p, {-EAGAIN, POLLIN, -EAGAIN, POLLIN, 3}) == 3);
    const opcode_list expected{IORING_OP_RECV, IORING_OP_POLL_ADD, IORING_OP_RECV,
                               IORING_OP_POLL_ADD, IORING_OP_RECV};
    BOOST_TEST(opcodes() == expected, boost::test_tools::per_element());
    BOOST_TEST(s->history[1].poll32_events == unsigned{POLLIN});
    BOOST_TEST(context.statistics().restarts == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_wait_before_the_second_try_may_fail_or_be_ended_early, io_fixture) {
    test::probe* const fails = make(io_kind::receive);
    fails->events = POLLIN;
    BOOST_TEST(run(fails, {-EAGAIN, -EBADF}) == -EBADF);
    test::probe* const ended = make(io_kind::receive);
    ended->events = POLLIN;
    BOOST_TEST(run(ended, {-EAGAIN, -ECANCELED, 4}) == 4);
}

BOOST_FIXTURE_TEST_CASE(where_there_is_nothing_to_wait_for_that_it_would_block_is_the_answer,
                        io_fixture) {
    BOOST_TEST(run(make(io_kind::receive), {-EAGAIN}) == -EAGAIN);
    test::probe* const wait = make(io_kind::wait);
    wait->events = POLLIN;
    BOOST_TEST(run(wait, {-EAGAIN}) == -EAGAIN);
    BOOST_TEST(context.statistics().restarts == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_wait_gives_no_count, io_fixture) {
    test::probe* const p = make(io_kind::wait);
    p->events = POLLIN;
    BOOST_TEST(run(p, {POLLIN}) == 0);
}

BOOST_FIXTURE_TEST_CASE(other_errors_are_the_operations_own, io_fixture) {
    for (const int error : {EPIPE, ECONNRESET, EBADF, EINVAL, ENOMEM, ENOBUFS}) {
        BOOST_TEST(run(make(io_kind::send), {-error}) == -error);
    }
    BOOST_TEST(run(make(io_kind::receive), {-EINPROGRESS}) == -EINPROGRESS);
    // Another connect had begun the connection, and its handler hears how that goes.
    BOOST_TEST(run(make(io_kind::connect), {-EALREADY}) == -EALREADY);
    BOOST_TEST(run(make(io_kind::send), {-ECONNABORTED}) == -ECONNABORTED);
    BOOST_TEST(context.statistics().restarts == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_connection_under_way_is_waited_for_and_not_begun_again, io_fixture) {
    for (const int under_way : {EINPROGRESS, ECANCELED, EINTR, EAGAIN}) {
        int pair[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        s->history.clear();
        const std::uint64_t restarts = context.statistics().restarts;
        test::probe* const p = make(io_kind::connect);
        p->events = POLLOUT;
        p->descriptor = pair[0];
        BOOST_TEST(run(p, {-under_way, POLLOUT}) == 0);
        const opcode_list expected{IORING_OP_CONNECT, IORING_OP_POLL_ADD};
        BOOST_TEST(opcodes() == expected, boost::test_tools::per_element());
        BOOST_TEST(s->history[1].poll32_events == unsigned{POLLOUT});
        BOOST_TEST(context.statistics().restarts == restarts + 1);
        ::close(pair[0]);
        ::close(pair[1]);
    }
}

BOOST_FIXTURE_TEST_CASE(a_wait_for_a_connection_that_is_ended_early_goes_on, io_fixture) {
    int pair[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    test::probe* const p = make(io_kind::connect);
    p->events = POLLOUT;
    p->descriptor = pair[0];
    BOOST_TEST(run(p, {-EINPROGRESS, -ECANCELED, -EINTR, POLLOUT}) == 0);
    const opcode_list expected{IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_POLL_ADD,
                               IORING_OP_POLL_ADD};
    BOOST_TEST(opcodes() == expected, boost::test_tools::per_element());
    ::close(pair[0]);
    ::close(pair[1]);
}

BOOST_FIXTURE_TEST_CASE(how_a_connection_went_the_socket_tells, io_fixture) {
    const int refused = socket_with_error(ECONNREFUSED);
    test::probe* const p = make(io_kind::connect);
    p->events = POLLOUT;
    p->descriptor = refused;
    BOOST_TEST(run(p, {-EINPROGRESS, POLLOUT | POLLERR}) == -ECONNREFUSED);
    ::close(refused);
    BOOST_TEST(run(make(io_kind::connect), {-ETIMEDOUT}) == -ETIMEDOUT);
    BOOST_TEST(run(make(io_kind::connect), {0}) == 0);
}

BOOST_FIXTURE_TEST_CASE(an_accept_passes_over_connections_that_ended_before_it, io_fixture) {
    BOOST_TEST(run(make(io_kind::accept), {-ECONNABORTED, -EPROTO, 9}) == 9);
    BOOST_TEST(opcodes() == opcode_list(3, IORING_OP_ACCEPT), boost::test_tools::per_element());
    BOOST_TEST(context.statistics().restarts == 2U);
    test::probe* const reports = make(io_kind::accept);
    reports->report_aborted = true;
    BOOST_TEST(run(reports, {-ECONNABORTED}) == -ECONNABORTED);
    BOOST_TEST(context.statistics().restarts == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_receive_that_finds_data_needs_no_entry, io_fixture) {
    int pair[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    rung::detail::io_list list;
    char buffer[8] = {};
    const auto receive = [&](std::deque<std::int32_t> answers) {
        answer(std::move(answers));
        test::probe* const p = make(io_kind::receive);
        p->descriptor = pair[0];
        p->address = buffer;
        p->length = sizeof buffer;
        p->try_first = true;
        test::start(context, p, &list);
        context.restart();
        BOOST_TEST(context.run() == 1U);
        BOOST_TEST(outcomes.back().completed == 1);
        return outcomes.back().result;
    };
    BOOST_REQUIRE(::write(pair[1], "abc", 3) == 3);
    BOOST_TEST(receive({}) == 3);
    BOOST_TEST(std::string(buffer) == "abc");
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
