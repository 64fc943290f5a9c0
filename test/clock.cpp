#include <time.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <limits>
#include <rung/clock.hpp>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

std::int64_t monotonic_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// What reading for a while has shown.
struct observation {
    std::int64_t worst_ns = 0;  // by how much a reading lay outside the two of CLOCK_MONOTONIC
    std::int64_t step_back_ns = 0;
    std::uint64_t readings = 0;
};

/// Reads both clocks in turn for so long.
observation observe(std::chrono::milliseconds time) {
    observation o;
    const std::int64_t end_ns = monotonic_ns() + std::chrono::nanoseconds(time).count();
    std::int64_t last_ns = std::numeric_limits<std::int64_t>::min();
    std::int64_t after_ns = 0;
    while (after_ns < end_ns) {
        const std::int64_t before_ns = monotonic_ns();
        const std::int64_t now_ns = rung::clock::now_ns();
        after_ns = monotonic_ns();
        o.worst_ns = std::max({o.worst_ns, before_ns - now_ns, now_ns - after_ns});
        if (last_ns > now_ns) {
            o.step_back_ns = std::max(o.step_back_ns, last_ns - now_ns);
        }
        last_ns = now_ns;
        ++o.readings;
    }
    return o;
}

// The clocks agree to about 100 ns; the rest is for virtual machines that are paused in between.
constexpr std::int64_t tolerance_ns = 1'000;

}  // namespace

static_assert(rung::clock::is_steady);
static_assert(std::is_same_v<rung::clock::time_point, std::chrono::steady_clock::time_point>);
static_assert(std::is_same_v<rung::clock::duration, std::chrono::nanoseconds>);
static_assert(noexcept(rung::clock::now()));

BOOST_AUTO_TEST_CASE(its_time_points_are_those_of_the_steady_clock) {
    const auto before = std::chrono::steady_clock::now();
    const auto now = rung::clock::now();
    const auto after = std::chrono::steady_clock::now();
    BOOST_TEST((now >= before - std::chrono::nanoseconds(tolerance_ns)));
    BOOST_TEST((now <= after + std::chrono::nanoseconds(tolerance_ns)));
    BOOST_TEST((rung::clock::now() - now < std::chrono::seconds(10)));
}

BOOST_AUTO_TEST_CASE(it_agrees_with_clock_monotonic_and_never_steps_back) {
    // Long enough to pass the calibration and many anchors.
    const observation o = observe(std::chrono::milliseconds(500));
    BOOST_TEST(o.worst_ns <= tolerance_ns);
    BOOST_TEST(o.step_back_ns == 0);
    BOOST_TEST(o.readings > 1'000U);
}

BOOST_AUTO_TEST_CASE(it_agrees_and_never_steps_back_on_several_busy_threads) {
    // More threads than processors, so that they are preempted in the middle of everything.
    std::vector<observation> seen(6);
    std::vector<std::thread> threads;
    for (observation& o : seen) {
        threads.emplace_back([&o] { o = observe(std::chrono::milliseconds(700)); });
    }
    for (std::thread& t : threads) {
        t.join();
    }
    for (const observation& o : seen) {
        BOOST_TEST(o.worst_ns <= tolerance_ns);
        BOOST_TEST(o.step_back_ns == 0);
    }
}

BOOST_AUTO_TEST_CASE(it_agrees_after_the_thread_has_slept) {
    for (const int ms : {1, 5, 50}) {
        std::this_thread::sleep_for(std::chrono::milliseconds(ms));
        const observation o = observe(std::chrono::milliseconds(3));
        BOOST_TEST(o.worst_ns <= tolerance_ns);
        BOOST_TEST(o.step_back_ns == 0);
    }
}

BOOST_AUTO_TEST_CASE(what_one_thread_read_before_it_told_another_lies_before_the_others_time) {
    std::atomic<std::int64_t> told_ns{0};
    std::atomic<bool> stop{false};
    std::thread teller([&] {
        while (!stop.load()) {
            told_ns.store(rung::clock::now_ns(), std::memory_order_release);
        }
    });
    std::int64_t worst_ns = 0;
    const std::int64_t end_ns = monotonic_ns() + 200'000'000;
    while (monotonic_ns() < end_ns) {
        const std::int64_t theirs_ns = told_ns.load(std::memory_order_acquire);
        worst_ns = std::max(worst_ns, theirs_ns - rung::clock::now_ns());
    }
    stop.store(true);
    teller.join();
    BOOST_TEST(worst_ns <= 2 * tolerance_ns);
}
