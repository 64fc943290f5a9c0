// A hundred thousand fibers at once, with what this machine allows a process by default.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <exception>
#include <rung/rung.hpp>
#include <string>

#include "time_limit.hpp"

namespace {

struct fixture : test::time_limit {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_crowd, fixture)

BOOST_AUTO_TEST_CASE(a_hundred_thousand_fibers_wait_at_once) {
#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
    constexpr int all = 2'000;
#else
    constexpr int all = 100'000;
#endif
    rung::io_context ctx(1);
    rung::event go(ctx);
    int waiting = 0;
    int done = 0;
    std::string refused;
    for (int i = 0; i < all; ++i) {
        rung::spawn(
            ctx,
            [&] {
                ++waiting;
                go.wait();
                ++done;
            },
            [&](const std::exception_ptr& e) {
                try {
                    if (e) {
                        std::rethrow_exception(e);
                    }
                } catch (const std::exception& error) {
                    refused = error.what();
                }
            });
    }
    ctx.poll();
    // Before Linux 6.13 guard pages cost mappings, and the error says what to do about it.
    BOOST_TEST((waiting == all || refused.find("guard_pages") != std::string::npos));
    BOOST_TEST(waiting >= std::min(all, 10'000));
    const rung::stack_statistics s = rung::stack_pool::common().statistics();
    BOOST_TEST(s.in_use == static_cast<std::size_t>(waiting));
    BOOST_TEST_MESSAGE(s.resident / s.in_use << " bytes resident each");
    go.set();
    ctx.run();
    BOOST_TEST(done == waiting);
    BOOST_TEST(rung::stack_pool::common().statistics().in_use == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
