// A cancellation costs the same, however many operations wait beside the one that is cancelled.

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/test/unit_test.hpp>
#include <ctime>
#include <memory>
#include <rung/rung.hpp>
#include <vector>

namespace asio = boost::asio;
using local_stream = asio::local::stream_protocol;

namespace {

using signals = std::vector<std::unique_ptr<asio::cancellation_signal>>;

signals make_signals(std::size_t n) {
    signals all;
    for (std::size_t i = 0; i < n; ++i) {
        all.push_back(std::make_unique<asio::cancellation_signal>());
    }
    return all;
}

/// What this thread has computed for: others on the machine do not count.
double cpu_time() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Seconds for one of `n` cancellations, the newest operation first, each in a turn of its own.
double cost(rung::io_context& ctx, signals& all) {
    const double begin = cpu_time();
    for (auto s = all.rbegin(); s != all.rend(); ++s) {
        (*s)->emit(asio::cancellation_type::terminal);
        ctx.poll();
        ctx.restart();
    }
    return (cpu_time() - begin) / static_cast<double>(all.size());
}

/// `measure(n)` is the same for sixteen times as many, but for what caches make of it.
template <class Measure>
void check_constant(Measure measure) {
    constexpr double most = 6;  // a walk over all of them makes it sixteen
    double few = 1;
    double many = 1;
    for (int i = 0; i < 3; ++i) {
        few = std::min(few, measure(1'000));
        many = std::min(many, measure(16'000));
    }
    BOOST_TEST_MESSAGE(few * 1e6 << " us with 1,000, " << many * 1e6 << " us with 16,000");
    BOOST_TEST(many < most * few);
}

}  // namespace

BOOST_AUTO_TEST_CASE(cancelling_one_of_many_operations_that_are_held_back) {
    check_constant([](std::size_t n) {
        rung::io_context_options options;
        options.low_io_in_flight = 1;
        rung::io_context ctx(options);
        rung::native<local_stream::socket> a(
            asio::require(ctx.get_executor(), rung::io_priority::low));
        rung::native<local_stream::socket> b(ctx);
        asio::local::connect_pair(a, b);
        signals all = make_signals(n);
        std::size_t ended = 0;
        for (auto& s : all) {
            a.async_wait(a.wait_read,
                         asio::bind_cancellation_slot(s->slot(), [&](const auto&) { ++ended; }));
        }
        ctx.poll();
        ctx.restart();
        const double seconds = cost(ctx, all);
        ctx.run();
        BOOST_TEST(ended == n);
        return seconds;
    });
}

BOOST_AUTO_TEST_CASE(cancelling_one_of_many_operations_in_the_kernel) {
    check_constant([](std::size_t n) {
        rung::io_context ctx;
        rung::native<local_stream::socket> a(ctx);
        rung::native<local_stream::socket> b(ctx);
        asio::local::connect_pair(a, b);
        signals all = make_signals(n);
        std::size_t ended = 0;
        for (auto& s : all) {
            a.async_wait(a.wait_read,
                         asio::bind_cancellation_slot(s->slot(), [&](const auto&) { ++ended; }));
        }
        ctx.poll();
        ctx.restart();
        const double begin = cpu_time();
        for (auto s = all.rbegin(); s != all.rend(); ++s) {
            (*s)->emit(asio::cancellation_type::terminal);
        }
        const double seconds = (cpu_time() - begin) / static_cast<double>(n);
        ctx.run();
        BOOST_TEST(ended == n);
        return seconds;
    });
}

BOOST_AUTO_TEST_CASE(cancelling_one_of_many_waits_on_one_timer) {
    check_constant([](std::size_t n) {
        rung::io_context ctx;
        asio::basic_waitable_timer<std::chrono::steady_clock,
                                   asio::wait_traits<std::chrono::steady_clock>, rung::executor>
            timer(ctx, std::chrono::hours(1));
        signals all = make_signals(n);
        std::size_t ended = 0;
        for (auto& s : all) {
            timer.async_wait(
                asio::bind_cancellation_slot(s->slot(), [&](const auto&) { ++ended; }));
        }
        const double seconds = cost(ctx, all);
        ctx.run();
        BOOST_TEST(ended == n);
        return seconds;
    });
}
