/// What the loop makes of the answers of a scripted ring.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "answering_fixture.hpp"

namespace asio = boost::asio;
using rung::detail::io_kind;
using test::io_fixture;
using test::stream_pair;

namespace {

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

BOOST_FIXTURE_TEST_CASE(an_operation_that_would_block_waits_for_its_events_and_is_called,
                        io_fixture) {
    const stream_pair pair;
    BOOST_REQUIRE(::write(pair.far, "abc", 3) == 3);
    BOOST_TEST(run(make(pair.near), {-EAGAIN, POLLIN}) == 3);
    BOOST_TEST(opcodes() == (opcode_list{IORING_OP_RECV, IORING_OP_POLL_ADD}),
               boost::test_tools::per_element());
    BOOST_TEST(s->history[1].poll32_events == unsigned{POLLIN});
    BOOST_TEST(s->history[1].len == 0U);
    BOOST_TEST(context.statistics().restarts == 1U);
    BOOST_TEST(context.statistics().speculated == 1U);
}

BOOST_FIXTURE_TEST_CASE(what_is_not_ready_after_all_waits_by_an_edge_triggered_poll, io_fixture) {
    const stream_pair pair;
    test::probe* const p = make(pair.near);
    p->by_poll = true;
    test::start(context, p);
    const auto enter = [&] {
        context.restart();
        context.poll();
    };
    const auto bring = [&](std::int32_t events, std::uint32_t flags) {
        s->complete(s->in_flight[0].user_data, events, flags);
        s->deliver();
        enter();
        enter();
    };
    enter();
    bring(POLLIN, 0);  // nothing is there
    BOOST_REQUIRE(s->in_flight.size() == 1U);
    BOOST_TEST(s->in_flight[0].len == IORING_POLL_ADD_MULTI);
    BOOST_TEST(context.statistics().handlers[1] == 1U);  // the call; no handler has run
    for (int i = 0; i < 3; ++i) {
        bring(POLLRDHUP, IORING_CQE_F_MORE);
        BOOST_TEST(s->in_flight.size() == 1U);
        BOOST_TEST(s->cancels == 0U);
    }
    BOOST_REQUIRE(::write(pair.far, "abcd", 4) == 4);
    bring(POLLIN, IORING_CQE_F_MORE);
    context.run();
    BOOST_TEST(s->cancels == 1U);  // of the poll, which would go on
    BOOST_TEST(outcomes.back().completed == 1);
    BOOST_TEST(outcomes.back().result == 4);
    BOOST_TEST(context.statistics().in_flight == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_poll_that_brings_nothing_of_what_was_asked_for_is_no_reason_to_call,
                        io_fixture) {
    const stream_pair pair;
    test::probe* const p = make(pair.near);
    p->kind = io_kind::send;
    p->by_poll = true;
    p->events = POLLOUT;
    answer({POLLRDHUP});
    test::start(context, p);
    context.poll();
    BOOST_REQUIRE(s->in_flight.size() == 1U);
    BOOST_TEST(s->in_flight[0].len == IORING_POLL_ADD_MULTI);
    BOOST_TEST(context.statistics().handlers[1] == 0U);
}

BOOST_FIXTURE_TEST_CASE(what_was_announced_can_still_be_cancelled_or_destroyed, io_fixture) {
    const stream_pair pair;
    rung::detail::io_list list;
    BOOST_REQUIRE(::write(pair.far, "abc", 3) == 3);
    for (const bool destroys : {false, true}) {
        test::probe* const p = make(pair.near);
        p->by_poll = true;
        answer({POLLIN});
        test::start(context, p, &list);
        asio::post(context, [&] {
            rung::detail::engine::cancel_all(test::engine_of(context), list);
            if (destroys) {
                context.stop();
            }
        });
        context.restart();
        context.poll_one();
        BOOST_TEST(!outcomes.back().ended());
        if (!destroys) {
            context.run();
            BOOST_TEST(outcomes.back().completed == 1);
            BOOST_TEST(outcomes.back().result == -ECANCELED);
        }
    }
    rung::detail::engine::detach(test::engine_of(context), list);
}

BOOST_FIXTURE_TEST_CASE(a_wait_before_the_second_try_may_fail_or_be_ended_early, io_fixture) {
    const stream_pair pair;
    BOOST_TEST(run(make(pair.near), {-EAGAIN, -EBADF}) == -EBADF);
    BOOST_REQUIRE(::write(pair.far, "abcd", 4) == 4);
    BOOST_TEST(run(make(pair.near), {-EAGAIN, -ECANCELED, POLLIN}) == 4);
}

BOOST_FIXTURE_TEST_CASE(where_there_is_nothing_to_wait_for_that_it_would_block_is_the_answer,
                        io_fixture) {
    BOOST_TEST(run(make(io_kind::receive), {-EAGAIN}) == -EAGAIN);
    test::probe* const wait = make(io_kind::wait);
    wait->by_poll = true;
    wait->events = POLLIN;
    BOOST_TEST(run(wait, {-EAGAIN}) == -EAGAIN);
    BOOST_TEST(context.statistics().restarts == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_wait_gives_no_count, io_fixture) {
    test::probe* const p = make(io_kind::wait);
    p->by_poll = true;
    p->events = POLLIN;
    BOOST_TEST(run(p, {POLLIN}) == 0);
}

BOOST_FIXTURE_TEST_CASE(other_errors_are_the_operations_own, io_fixture) {
    for (const int error : {EPIPE, ECONNRESET, EBADF, EINVAL, ENOMEM, ENOBUFS}) {
        BOOST_TEST(run(make(io_kind::receive), {-error}) == -error);
    }
    BOOST_TEST(run(make(io_kind::receive), {-EINPROGRESS}) == -EINPROGRESS);
    BOOST_TEST(run(make(io_kind::receive), {-ECONNABORTED}) == -ECONNABORTED);
    BOOST_TEST(context.statistics().restarts == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_connection_under_way_is_waited_for_and_not_begun_again, io_fixture) {
    const stream_pair pair;
    BOOST_TEST(run(connecting(pair.near), {-ECANCELED, -EINTR, POLLOUT}) == 0);
    BOOST_TEST(opcodes() == opcode_list(3, IORING_OP_POLL_ADD), boost::test_tools::per_element());
    BOOST_TEST(s->history[0].poll32_events == unsigned{POLLOUT});
    BOOST_TEST(context.statistics().restarts == 2U);
}

BOOST_FIXTURE_TEST_CASE(how_a_connection_went_the_socket_tells, io_fixture) {
    const int refused = socket_with_error(ECONNREFUSED);
    BOOST_TEST(run(connecting(refused), {POLLOUT | POLLERR}) == -ECONNREFUSED);
    ::close(refused);
    BOOST_TEST(run(connecting(-1), {-ENOMEM}) == -ENOMEM);
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
