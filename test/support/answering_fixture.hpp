#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "scripted_fixture.hpp"

namespace test {

using rung::detail::io_kind;

/// A context whose entries are answered from a list, and operations for it.
struct io_fixture {
    explicit io_fixture(const rung::io_context_options& options = {}) : context(s, options) {}

    /// A probe with an outcome of its own.
    probe* make(io_kind kind = io_kind::nop) {
        auto* const p = new probe(outcomes.emplace_back());
        p->kind = kind;
        return p;
    }

    /// A receive of up to eight bytes.
    probe* make(int descriptor) {
        probe* const p = make(io_kind::receive);
        p->descriptor = descriptor;
        p->events = POLLIN;
        p->address = buffer;
        p->length = sizeof buffer;
        return p;
    }

    /// A wait for the outcome of a connect.
    probe* connecting(int descriptor) {
        probe* const p = make(io_kind::connect);
        p->by_poll = true;
        p->events = POLLOUT;
        p->descriptor = descriptor;
        return p;
    }

    /// Answers each entry with the next of these results; the rest stay in flight.
    void answer(std::deque<std::int32_t> with) {
        results = std::move(with);
        s->on_enter = [this](const script::entries& taken) {
            for (const io_uring_sqe& e : taken) {
                if (!results.empty()) {
                    s->complete(e, results.front());
                    results.pop_front();
                }
            }
        };
    }

    /// Runs one operation against these answers; gives its result, and what it asked for.
    std::int32_t run(probe* p, std::deque<std::int32_t> answers) {
        answer(std::move(answers));
        start(context, p);
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

    char buffer[8] = {};
    std::shared_ptr<script> s = std::make_shared<script>();
    std::deque<std::int32_t> results;
    std::deque<outcome> outcomes;
    scripted_context context;
};

/// Two local stream sockets, connected.
struct stream_pair {
    stream_pair() {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        near = ends[0];
        far = ends[1];
    }
    ~stream_pair() {
        ::close(near);
        ::close(far);
    }
    stream_pair(const stream_pair&) = delete;
    stream_pair& operator=(const stream_pair&) = delete;

    int near = -1;
    int far = -1;
};

}  // namespace test
