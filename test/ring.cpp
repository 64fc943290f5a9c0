#include "ring.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "probe_operation.hpp"
#include "scripted_backend.hpp"

using rung::detail::completion;
using rung::detail::io_kind;
using rung::detail::ring;

namespace {

/// A ring over a script, and operations to put into it.
struct ring_fixture {
    explicit ring_fixture(unsigned entries = 4)
        : r(std::make_unique<test::scripted_backend>(s, entries)) {}

    rung::detail::io_operation& operation() {
        return *operations.emplace_back(std::make_unique<test::probe>(out));
    }

    /// Adds an operation of a kind and gives its entry as the backend saw it.
    io_uring_sqe submitted(rung::detail::io_operation& op) {
        r.add(op);
        BOOST_TEST(r.submit() == 0);
        BOOST_REQUIRE(!s->history.empty());
        return s->history.back();
    }

    std::shared_ptr<test::script> s = std::make_shared<test::script>();
    test::outcome out;
    std::vector<std::unique_ptr<test::probe>> operations;
    ring r;
};

struct ring_of_one : ring_fixture {
    ring_of_one() : ring_fixture(1) {}
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(an_entry_costs_room_until_it_is_submitted, ring_fixture) {
    BOOST_TEST(r.room() == 4U);
    for (unsigned i = 1; i <= 4; ++i) {
        r.add(operation());
        BOOST_TEST(r.room() == 4 - i);
        BOOST_TEST(r.unsubmitted() == i);
    }
    BOOST_TEST(s->enters == 0U);  // adding is no system call
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(s->enters == 1U);
    BOOST_TEST(s->in_flight.size() == 4U);
    BOOST_TEST(r.room() == 4U);
    BOOST_TEST(r.unsubmitted() == 0U);
}

BOOST_FIXTURE_TEST_CASE(entries_reach_the_backend_in_the_order_of_adding, ring_fixture) {
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 3; ++i) {  // not a divisor of the size, so that the indices wrap
            r.add(operation());
        }
        BOOST_TEST(r.submit() == 0);
    }
    BOOST_REQUIRE(s->history.size() == operations.size());
    for (std::size_t i = 0; i < operations.size(); ++i) {
        BOOST_TEST(s->history[i].user_data == test::tag_of(operations[i].get()));
    }
}

BOOST_FIXTURE_TEST_CASE(what_the_backend_does_not_take_stays_for_the_next_submission,
                        ring_fixture) {
    s->accept_at_most = 1;
    for (int i = 0; i < 3; ++i) {
        r.add(operation());
    }
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(r.unsubmitted() == 2U);
    BOOST_TEST(r.room() == 2U);
    r.add(operation());
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(r.unsubmitted() == 0U);
    BOOST_TEST(s->in_flight.size() == 4U);
}

BOOST_FIXTURE_TEST_CASE(a_failed_submission_gives_its_error_and_keeps_the_entries, ring_fixture) {
    s->failures = {-EINTR, -EBUSY};
    r.add(operation());
    BOOST_TEST(r.submit() == -EINTR);
    BOOST_TEST(r.unsubmitted() == 1U);
    BOOST_TEST(r.submit() == -EBUSY);
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(s->in_flight.size() == 1U);
}

BOOST_FIXTURE_TEST_CASE(completions_come_as_they_are, ring_fixture) {
    rung::detail::io_operation& a = operation();
    rung::detail::io_operation& b = operation();
    r.add(a);
    r.add(b);
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(!r.ready());
    s->complete(test::tag_of(&b), -EPIPE);
    s->complete(test::tag_of(&a), 17, IORING_CQE_F_MORE);
    s->complete(ring::wake_tag, 1);
    s->deliver();
    BOOST_REQUIRE(r.ready());
    const completion first = r.take();
    BOOST_TEST(first.tag == test::tag_of(&b));
    BOOST_TEST(first.result == -EPIPE);
    BOOST_TEST(!first.more);
    const completion second = r.take();
    BOOST_TEST(second.tag == test::tag_of(&a));
    BOOST_TEST(second.result == 17);
    BOOST_TEST(second.more);
    BOOST_TEST(r.ready());
    BOOST_TEST(r.take().tag == ring::wake_tag);
    BOOST_TEST(!r.ready());
}

BOOST_FIXTURE_TEST_CASE(room_for_completions_is_given_back_once_they_are_released, ring_of_one) {
    constexpr std::uint64_t n = 10;  // the completion queue has room for four
    for (std::uint64_t i = 0; i < n; ++i) {
        s->complete(100 + i, 0);
    }
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(r.pending_work());  // the completion queue has overflowed
    BOOST_TEST(r.overflows() == 1U);
    std::uint64_t next = 100;
    for (int i = 0; i < 5; ++i) {
        while (r.ready()) {
            BOOST_TEST(r.take().tag == next++);
        }
        r.release_taken();
        BOOST_TEST(r.submit() == 0);
    }
    BOOST_TEST(next == 100 + n);
    BOOST_TEST(!r.pending_work());
    BOOST_TEST(r.overflows() == 2U);
}

BOOST_FIXTURE_TEST_CASE(the_backend_may_say_that_it_has_work_for_us, ring_fixture) {
    BOOST_TEST(!r.pending_work());
    s->announce_work();
    BOOST_TEST(r.pending_work());
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(!r.pending_work());
}

BOOST_FIXTURE_TEST_CASE(a_withdrawn_entry_does_nothing, ring_fixture) {
    rung::detail::io_operation& a = operation();
    rung::detail::io_operation& b = operation();
    r.add(a);
    r.add(b);
    BOOST_TEST(r.withdraw(a));
    BOOST_TEST(!r.withdraw(a));
    BOOST_TEST(r.submit() == 0);
    BOOST_REQUIRE(s->history.size() == 1U);
    BOOST_TEST(s->history[0].user_data == test::tag_of(&b));
    BOOST_TEST(!r.withdraw(b));  // the backend has it
    BOOST_REQUIRE(r.ready());
    BOOST_TEST(r.take().tag == ring::ignored_tag);
}

BOOST_FIXTURE_TEST_CASE(a_wait_is_limited_where_a_limit_is_given, ring_fixture) {
    BOOST_TEST(r.wait(0, true, 1'000'000) == -ETIME);
    BOOST_TEST(r.wait(0, true, -1) == -EINTR);  // the script's way of ending it
    BOOST_TEST(s->waits == 2U);
    BOOST_TEST(r.wait(0, false, -1) == 0);
    BOOST_TEST(s->waits == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_receive_becomes_the_entry_of_its_call, ring_fixture) {
    std::array<char, 8> buffer{};
    rung::detail::io_operation& op = operation();
    op.descriptor = 11;
    op.address = buffer.data();
    op.length = buffer.size();
    op.flags = MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL;
    const std::pair<io_kind, int> kinds[] = {{io_kind::receive, IORING_OP_RECV},
                                             {io_kind::receive_msg, IORING_OP_RECVMSG}};
    for (const auto& [kind, opcode] : kinds) {
        op.kind = kind;
        for (const bool poll_first : {false, true}) {
            op.poll_first = poll_first;
            const io_uring_sqe e = submitted(op);
            BOOST_TEST(e.opcode == opcode);
            BOOST_TEST(e.fd == 11);
            BOOST_TEST(e.addr == reinterpret_cast<std::uintptr_t>(buffer.data()));
            const bool single = kind == io_kind::receive;
            BOOST_TEST(e.len == (single ? 8U : 1U));
            // An operation may always wait, and then takes what there is.
            BOOST_TEST(e.msg_flags == unsigned{MSG_PEEK});
            BOOST_TEST(e.ioprio == (poll_first ? IORING_RECVSEND_POLL_FIRST : 0U));
            BOOST_TEST(e.user_data == test::tag_of(&op));
        }
    }
}

BOOST_FIXTURE_TEST_CASE(the_other_kinds_become_the_entries_of_their_calls, ring_fixture) {
    sockaddr_storage address{};
    socklen_t length = 0;
    rung::detail::io_operation& op = operation();
    op.descriptor = 12;
    op.address = &address;
    op.length = 16;
    op.flags = SOCK_CLOEXEC;
    op.address_length = &length;
    op.events = POLLIN | POLLOUT;
    op.poll_first = true;  // means something only to receives
    const auto at = reinterpret_cast<std::uintptr_t>(&address);

    op.kind = io_kind::accept;
    const io_uring_sqe accept = submitted(op);
    BOOST_TEST(accept.opcode == IORING_OP_ACCEPT);
    BOOST_TEST(accept.fd == 12);
    BOOST_TEST(accept.addr == at);
    BOOST_TEST(accept.addr2 == reinterpret_cast<std::uintptr_t>(&length));
    BOOST_TEST(accept.accept_flags == unsigned{SOCK_CLOEXEC});
    BOOST_TEST(accept.ioprio == 0);

    op.kind = io_kind::nop;
    const io_uring_sqe nop = submitted(op);
    BOOST_TEST(nop.opcode == IORING_OP_NOP);
    BOOST_TEST(nop.ioprio == 0);
}

BOOST_FIXTURE_TEST_CASE(what_waits_by_a_poll_is_a_poll_for_its_events, ring_fixture) {
    rung::detail::io_operation& op = operation();
    op.descriptor = 13;
    op.by_poll = true;
    for (const io_kind kind : {io_kind::send, io_kind::send_msg, io_kind::connect, io_kind::wait,
                               io_kind::receive, io_kind::read, io_kind::write}) {
        for (const bool watching : {false, true}) {
            op.kind = kind;
            op.events = POLLOUT;
            op.watching = watching;
            const io_uring_sqe e = submitted(op);
            BOOST_TEST(e.opcode == IORING_OP_POLL_ADD);
            BOOST_TEST(e.fd == 13);
            BOOST_TEST(e.poll32_events == unsigned{POLLOUT});
            BOOST_TEST(e.len == (watching ? IORING_POLL_ADD_MULTI : 0U));
            BOOST_TEST(e.ioprio == 0);
        }
    }
    op.events = POLLPRI;
    BOOST_TEST((submitted(op).poll32_events & unsigned{POLLPRI}) != 0U);
}

BOOST_FIXTURE_TEST_CASE(a_pause_is_a_timeout_that_grows_up_to_a_limit, ring_fixture) {
    rung::detail::io_operation& op = operation();
    op.kind = io_kind::connect;
    std::int64_t last_ns = 0;
    for (const int n : {1, 2, 3, 16, 17, 255}) {
        op.pauses = static_cast<std::uint8_t>(n);
        const io_uring_sqe e = submitted(op);
        BOOST_TEST(e.opcode == IORING_OP_TIMEOUT);
        BOOST_TEST(e.user_data == test::tag_of(&op));
        const auto* const t = reinterpret_cast<const __kernel_timespec*>(e.addr);
        BOOST_TEST(t->tv_sec == 0);
        BOOST_TEST(t->tv_nsec >= last_ns);
        last_ns = t->tv_nsec;
    }
}

BOOST_FIXTURE_TEST_CASE(a_cancel_names_its_operation_and_is_silent_if_it_succeeds, ring_fixture) {
    rung::detail::io_operation& op = operation();
    submitted(op);
    r.add_cancel(op);
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(s->control.back().opcode == IORING_OP_ASYNC_CANCEL);
    BOOST_TEST(s->control.back().addr == test::tag_of(&op));
    BOOST_TEST(s->control.back().user_data == ring::ignored_tag);
    BOOST_TEST((s->control.back().flags & IOSQE_CQE_SKIP_SUCCESS) != 0);
    BOOST_REQUIRE(r.ready());
    BOOST_TEST(r.take().result == -ECANCELED);
    BOOST_TEST(!r.ready());
}

BOOST_FIXTURE_TEST_CASE(cancelling_everything_ends_every_operation_and_the_wake_up, ring_fixture) {
    submitted(operation());
    submitted(operation());
    r.add_wake(0);
    r.add_cancel_all();
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(s->control.back().opcode == IORING_OP_ASYNC_CANCEL);
    BOOST_TEST(s->control.back().cancel_flags ==
               (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY));
    BOOST_TEST(s->in_flight.empty());
    unsigned operations_ended = 0;
    unsigned wakes_ended = 0;
    while (r.ready()) {
        const completion c = r.take();
        operations_ended += c.tag > ring::wake_tag && c.result == -ECANCELED ? 1 : 0;
        wakes_ended += c.tag == ring::wake_tag && !c.more ? 1 : 0;
    }
    BOOST_TEST(operations_ended == 2U);
    BOOST_TEST(wakes_ended == 1U);
}

BOOST_FIXTURE_TEST_CASE(the_wake_up_is_one_poll_for_many_wake_ups, ring_fixture) {
    r.add_wake(14);
    BOOST_TEST(r.submit() == 0);
    BOOST_TEST(s->control.back().opcode == IORING_OP_POLL_ADD);
    BOOST_TEST(s->control.back().fd == 14);
    BOOST_TEST(s->control.back().poll32_events == unsigned{POLLIN});
    BOOST_TEST(s->control.back().len == IORING_POLL_ADD_MULTI);
    BOOST_TEST(s->control.back().user_data == ring::wake_tag);
}
