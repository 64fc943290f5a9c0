// Waits for a word of memory through the ring.

#include "futex_operation.hpp"

#include <boost/test/unit_test.hpp>
#include <thread>

#include "context_fixture.hpp"
#include "futex.hpp"
#include "outcomes.hpp"
#include "ring_backend.hpp"
#include "time_limit.hpp"

using namespace std::chrono_literals;
using namespace test;
using rung::detail::async_futex_wait;
using rung::detail::futex_wake;

namespace {

/// A context and a word; skipped where the kernel's ring cannot wait for one.
struct fixture : context_fixture {
    fixture() {
        if (!rung::detail::waits_for_futexes()) {
            BOOST_TEST_MESSAGE("needs Linux 6.7");
            std::exit(77);
        }
    }
    void wait(std::uint32_t expected) {
        async_futex_wait(context().get_executor(), word, expected, list, [this](error_code ec) {
            ++calls;
            seen = ec;
        });
    }

    const time_limit limit;
    std::atomic<std::uint32_t> word{1};
    rung::detail::io_list list;
    error_code seen;
    int calls = 0;
};

BOOST_FIXTURE_TEST_CASE(a_word_that_has_changed_already_ends_the_wait, fixture) {
    wait(2);
    context().run();
    BOOST_TEST(calls == 1);
    BOOST_TEST(seen == error_code(boost::asio::error::would_block));
}

BOOST_FIXTURE_TEST_CASE(another_thread_wakes_it, fixture) {
    for (int i = 0; i < 200; ++i) {
        word = 1;
        wait(1);
        std::thread waker([&] {
            if (i % 2 == 0) {
                std::this_thread::sleep_for(200us);
            }
            word = 0;
            futex_wake(&word, 1, rung::detail::futex_scope::shared);
        });
        context().run();
        context().restart();
        waker.join();
        BOOST_TEST(calls == i + 1);
        BOOST_TEST((!seen || seen == error_code(boost::asio::error::would_block)));
    }
}

BOOST_FIXTURE_TEST_CASE(it_is_cancelled, fixture) {
    for (const bool in_kernel : {false, true}) {
        wait(1);
        if (in_kernel) {
            context().poll();
        }
        auto& engine = rung::detail::executor_access::engine_of(context().get_executor());
        rung::detail::engine::cancel_all(engine, list);
        context().run();
        context().restart();
        BOOST_TEST(seen == aborted);
    }
    BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(a_context_goes_with_a_wait_in_the_kernel) {
    const time_limit limit;
    std::atomic<std::uint32_t> word{1};
    rung::detail::io_list list;
    int calls = 0;
    if (rung::detail::waits_for_futexes()) {
        rung::io_context ctx;
        async_futex_wait(ctx.get_executor(), word, 1, list, [&](error_code) { ++calls; });
        ctx.poll();
    }
    BOOST_TEST(calls == 0);
}

}  // namespace
