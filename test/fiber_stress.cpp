// A million fibers (fewer where the build is slow) in waves of ten thousand, each of which does
// I/O and goes through the ring.

#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <rung/detail/nop.hpp>
#include <rung/rung.hpp>

#include "time_limit.hpp"

namespace asio = boost::asio;
using rung::use_fiber;

namespace {

struct fixture : test::time_limit {};

#if defined(RUNG_TSAN)
constexpr int wave = 2'000;  // it counts fibers as threads, of which it takes 8,128
#else
constexpr int wave = 10'000;
#endif
constexpr std::chrono::seconds enough{6};

/// `RUNG_STRESS_FIBERS` in the environment asks for another number, and for as long as it takes.
int wanted() {
    const char* const text = std::getenv("RUNG_STRESS_FIBERS");
    return text != nullptr ? std::atoi(text) : 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_stress, fixture)

BOOST_AUTO_TEST_CASE(waves_of_fibers_that_do_io) {
    using socket_type = rung::native<asio::local::stream_protocol::socket>;
    rung::io_context ctx;
    socket_type near(ctx);
    socket_type far(ctx);
    asio::local::connect_pair(near, far);
    const int most = wanted() != 0 ? wanted() : 1'000'000;
    if (wanted() != 0) {
        ::alarm(0);
    }
    const auto begin = std::chrono::steady_clock::now();
    int started = 0;
    int done = 0;
    const std::size_t in_use = rung::stack_pool::common().statistics().in_use;
    while (started < most &&
           (wanted() != 0 || std::chrono::steady_clock::now() - begin < enough)) {
        for (int i = 0; i < wave; ++i, ++started) {
            rung::spawn(
                ctx,
                [&] {
                    char byte = 'x';
                    rung::this_fiber::yield();
                    asio::async_write(near, asio::buffer(&byte, 1), use_fiber);
                    asio::async_read(far, asio::buffer(&byte, 1), use_fiber);
                    rung::detail::async_nop(ctx.get_executor(), use_fiber);
                    BOOST_REQUIRE(byte == 'x');
                },
                [&](const std::exception_ptr& e) { done += e ? 0 : 1; });
        }
        ctx.run();
        ctx.restart();
    }
    BOOST_TEST(done == started);
    BOOST_TEST(done >= wave);
    BOOST_TEST(ctx.statistics().completions >= static_cast<std::uint64_t>(done));
    const rung::stack_statistics s = rung::stack_pool::common().statistics();
    BOOST_TEST(s.in_use == in_use);
    BOOST_TEST(s.most_in_use <= static_cast<std::size_t>(wave) + 256);
    BOOST_TEST(s.released > 0U);
    BOOST_TEST_MESSAGE(done << " fibers, " << s.resident / 1024 << " KiB resident");
}

BOOST_AUTO_TEST_SUITE_END()
