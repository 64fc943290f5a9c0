/// What only the kernel's own ring can show.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <rung/rung.hpp>
#include <vector>

#include "context_fixture.hpp"
#include "probe_operation.hpp"
#include "scripted_fixture.hpp"

using rung::detail::io_kind;

BOOST_AUTO_TEST_CASE(the_kernel_keeps_what_does_not_fit_into_the_completion_queue) {
    constexpr std::size_t n = 200;
    for (const unsigned entries : {1U, 8U}) {
        for (const int hint : {-1, 1}) {
            rung::io_context_options options = test::with_entries(entries);
            options.concurrency_hint = hint;
            test::context_fixture f(options);
            rung::io_context& context = f.context();
            std::array<int, 2> pair{};
            BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0);
            // One byte ends all of these waits at once.
            std::deque<test::outcome> outcomes;
            for (std::size_t i = 0; i < n; ++i) {
                auto* const p = new test::probe(outcomes.emplace_back());
                p->kind = io_kind::wait;
                p->by_poll = true;
                p->descriptor = pair[0];
                p->events = POLLIN;
                test::start(context, p);
            }
            context.poll();
            BOOST_TEST(context.statistics().submissions == n);
            BOOST_TEST(context.statistics().submission_overflows > 0U);
            BOOST_REQUIRE(::write(pair[1], "", 1) == 1);
            BOOST_TEST(context.run_for(std::chrono::seconds(20)) == n);
            for (const test::outcome& o : outcomes) {
                BOOST_REQUIRE(o.completed == 1);
                BOOST_REQUIRE(o.result == 0);
            }
            BOOST_TEST(context.statistics().completions == n);
            BOOST_TEST(context.statistics().completion_overflows > 0U);
            ::close(pair[0]);
            ::close(pair[1]);
        }
    }
}

BOOST_AUTO_TEST_CASE(ten_thousand_operations_pass_through_a_kernels_queue_of_a_few_entries) {
    constexpr std::size_t n = 10'000;
    for (const unsigned entries : {1U, 2U, 4U}) {
        test::context_fixture f(test::with_entries(entries));
        std::deque<test::outcome> outcomes;
        for (std::size_t i = 0; i < n; ++i) {
            test::start(f.context(), new test::probe(outcomes.emplace_back()));
        }
        BOOST_TEST(f.context().run_for(std::chrono::seconds(20)) == n);
        bool good = true;
        for (const test::outcome& o : outcomes) {
            good = good && o.completed == 1 && o.result == 0;
        }
        BOOST_TEST(good);
        BOOST_TEST(f.context().statistics().submissions == n);
        BOOST_TEST(f.context().statistics().completions == n);
        BOOST_TEST(f.context().statistics().submission_overflows > 0U);
    }
}

BOOST_AUTO_TEST_CASE(a_kernel_before_5_19_is_told_by_its_opcodes) {
    // What Linux 5.18 and 5.19 say of themselves: each opcode up to their last one is supported.
    for (const unsigned last : {IORING_OP_SOCKET - 1U, IORING_OP_SOCKET + 1U}) {
        std::vector<char> memory(sizeof(io_uring_probe) + 256 * sizeof(io_uring_probe_op));
        auto* const told = reinterpret_cast<io_uring_probe*>(memory.data());
        told->last_op = static_cast<std::uint8_t>(last);
        told->ops_len = static_cast<std::uint8_t>(last + 1);
        for (unsigned op = 0; op <= last; ++op) {
            told->ops[op].op = static_cast<std::uint8_t>(op);
            told->ops[op].flags = IO_URING_OP_SUPPORTED;
        }
        BOOST_TEST(rung::detail::kernel_suffices(*told) == (last >= IORING_OP_SOCKET));
    }
}
