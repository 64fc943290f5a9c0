/// The loop's rule for each answer of the kernel, without a kernel.

#include "io_policy.hpp"

#include <poll.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <initializer_list>
#include <ostream>

using namespace rung::detail;

namespace rung::detail {

std::ostream& operator<<(std::ostream& out, verdict v) {
    constexpr const char* names[] = {"ended", "once_more", "poll",  "watch",
                                     "call",  "pause",     "refuse"};
    return out << names[static_cast<int>(v)];
}

}  // namespace rung::detail

namespace {

/// An operation that is never started.
struct sample : io_operation {
    explicit sample(io_kind k) : io_operation(nullptr, level::normal) { kind = k; }
    sample& wants(std::uint32_t e) {
        events = e;
        return *this;
    }
    sample& polls() {
        by_poll = true;
        return *this;
    }
    sample& was_ready() {
        polled = true;
        return *this;
    }
    sample& watches(bool has_before) {
        by_poll = polled = watching = true;
        has_watched = has_before;
        return *this;
    }
};

constexpr std::initializer_list<io_kind> every_kind{
    io_kind::nop,       io_kind::receive, io_kind::send,        io_kind::receive_msg,
    io_kind::send_msg,  io_kind::accept,  io_kind::connect,     io_kind::wait,
    io_kind::read,      io_kind::write,   io_kind::read_vector, io_kind::write_vector,
    io_kind::futex_wait};

}  // namespace

BOOST_AUTO_TEST_CASE(only_what_the_kernel_waits_for_rightly_waits_by_its_own_entry) {
    constexpr auto plain = descriptor_kind::plain;
    constexpr auto file = descriptor_kind::regular_file;
    constexpr auto errors = descriptor_kind::queues_errors;
    const auto polls = [](io_kind k, descriptor_kind d, int flags = 0) {
        sample op(k);
        op.flags = flags;
        return waits_by_poll(op, d);
    };
    for (const io_kind k : {io_kind::receive, io_kind::receive_msg}) {
        BOOST_TEST(!polls(k, plain));
        BOOST_TEST(!polls(k, plain, MSG_PEEK));
        BOOST_TEST(polls(k, errors));
        BOOST_TEST(polls(k, plain, MSG_OOB));
        BOOST_TEST(polls(k, plain, MSG_ERRQUEUE));
    }
    for (const io_kind k : {io_kind::send, io_kind::send_msg, io_kind::connect, io_kind::wait}) {
        BOOST_TEST(polls(k, plain));
        BOOST_TEST(polls(k, errors));
    }
    for (const io_kind k :
         {io_kind::read, io_kind::write, io_kind::read_vector, io_kind::write_vector}) {
        BOOST_TEST(polls(k, plain));
        BOOST_TEST(!polls(k, file));
    }
    BOOST_TEST(!polls(io_kind::accept, plain));
    BOOST_TEST(!polls(io_kind::futex_wait, plain));
}

BOOST_AUTO_TEST_CASE(an_entry_that_was_ended_early_goes_to_the_kernel_once_more) {
    for (const io_kind k : every_kind) {
        for (const int early : {ECANCELED, EINTR}) {
            BOOST_TEST(after_entry(sample(k), -early) == verdict::once_more);
            BOOST_TEST(after_entry(sample(k).wants(POLLIN).polls(), -early) == verdict::once_more);
            BOOST_TEST(after_entry(sample(k).watches(true), -early) == verdict::once_more);
        }
    }
}

BOOST_AUTO_TEST_CASE(an_entrys_count_and_its_other_errors_are_its_end) {
    for (const io_kind k : every_kind) {
        for (const int answer : {0, 1, 4'096, -EPIPE, -ECONNRESET, -EBADF, -EINVAL, -ENOBUFS}) {
            BOOST_TEST(after_entry(sample(k), answer) == verdict::ended);
        }
        for (const int error : {EBADF, ENOMEM, EAGAIN}) {
            BOOST_TEST(after_entry(sample(k).wants(POLLIN).polls(), -error) == verdict::ended);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_would_block_waits_by_a_poll_if_there_is_something_to_wait_for) {
    BOOST_TEST(after_entry(sample(io_kind::receive).wants(POLLIN), -EAGAIN) == verdict::poll);
    BOOST_TEST(after_entry(sample(io_kind::accept).wants(POLLIN), -EAGAIN) == verdict::poll);
    BOOST_TEST(after_entry(sample(io_kind::futex_wait), -EAGAIN) == verdict::ended);
}

BOOST_AUTO_TEST_CASE(an_accept_passes_over_connections_that_ended_before_it) {
    for (const int gone : {ECONNABORTED, EPROTO}) {
        sample op(io_kind::accept);
        BOOST_TEST(after_entry(op, -gone) == verdict::once_more);
        op.report_aborted = true;
        BOOST_TEST(after_entry(op, -gone) == verdict::ended);
        BOOST_TEST(after_entry(sample(io_kind::receive), -gone) == verdict::ended);
    }
}

BOOST_AUTO_TEST_CASE(a_poll_that_brings_what_was_asked_for_leads_to_the_call) {
    for (const io_kind k : every_kind) {
        for (const int events : {POLLIN, POLLOUT, POLLPRI}) {
            for (const int brought : {events, POLLERR, POLLHUP, POLLNVAL, events | POLLRDHUP}) {
                sample op(k);
                op.wants(static_cast<std::uint32_t>(events)).polls();
                const bool known = k == io_kind::wait && events == POLLIN;
                BOOST_TEST(after_entry(op, brought) == (known ? verdict::ended : verdict::call));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_poll_that_brings_something_else_is_followed_by_an_edge_triggered_one) {
    for (const io_kind k : {io_kind::send, io_kind::write, io_kind::wait, io_kind::connect}) {
        for (const int brought : {POLLRDHUP, POLLIN, POLLRDHUP | POLLIN}) {
            BOOST_TEST(after_entry(sample(k).wants(POLLOUT).polls(), brought) == verdict::watch);
        }
    }
    BOOST_TEST(after_entry(sample(io_kind::receive).polls(), POLLIN) == verdict::watch);
}

BOOST_AUTO_TEST_CASE(a_call_that_would_wait_waits_by_a_poll_and_then_for_a_change) {
    for (const io_kind k : {io_kind::receive, io_kind::send, io_kind::read, io_kind::write,
                            io_kind::wait, io_kind::connect}) {
        BOOST_TEST(after_call(sample(k).polls(), -EAGAIN) == verdict::poll);
        BOOST_TEST(after_call(sample(k).polls().was_ready(), -EAGAIN) == verdict::watch);
        BOOST_TEST(after_call(sample(k).watches(true), -EAGAIN) == verdict::watch);
        for (const int answer : {0, 1, -EPIPE, -ECONNRESET, -EBADF, -EIO}) {
            BOOST_TEST(after_call(sample(k).polls(), answer) == verdict::ended);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_connection_that_another_has_taken_is_polled_for_again) {
    BOOST_TEST(after_call(sample(io_kind::accept).polls(), -EAGAIN) == verdict::poll);
    BOOST_TEST(after_call(sample(io_kind::accept).polls().was_ready(), -EAGAIN) == verdict::poll);
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_cannot_be_watched_is_refused) {
    BOOST_TEST(after_entry(sample(io_kind::wait).wants(POLLPRI).polls(), -EINVAL) ==
               verdict::refuse);
    BOOST_TEST(after_call(sample(io_kind::read).watches(false), -EAGAIN) == verdict::refuse);
    BOOST_TEST(after_entry(sample(io_kind::write).wants(POLLOUT).watches(false), POLLIN) ==
               verdict::refuse);
}

BOOST_AUTO_TEST_CASE(a_connect_under_way_is_polled_for_and_a_full_backlog_tried_again) {
    BOOST_TEST(after_call(sample(io_kind::connect), 0) == verdict::ended);
    BOOST_TEST(after_call(sample(io_kind::connect), -ECONNREFUSED) == verdict::ended);
    BOOST_TEST(after_call(sample(io_kind::connect), -EINPROGRESS) == verdict::poll);
    BOOST_TEST(after_call(sample(io_kind::connect), -EAGAIN) == verdict::pause);
    sample pausing(io_kind::connect);
    pausing.pauses = 1;
    BOOST_TEST(after_entry(pausing, -ETIME) == verdict::call);
    BOOST_TEST(after_entry(pausing, -ECANCELED) == verdict::once_more);
    BOOST_TEST(after_entry(pausing, -ENOMEM) == verdict::ended);
}

BOOST_AUTO_TEST_CASE(pauses_grow_up_to_a_limit) {
    BOOST_TEST(pause_ns(1) == 1'000'000);
    for (unsigned n = 1; n < 300; ++n) {
        BOOST_TEST(pause_ns(n + 1) >= pause_ns(n));
        BOOST_TEST(pause_ns(n) <= 32'000'000);
    }
}
