#include <algorithm>
#include <ctime>
#include <limits>
#include <rung/clock.hpp>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace rung {

namespace {

std::int64_t monotonic_ns() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

#if defined(__x86_64__)

std::uint64_t ticks() noexcept { return __rdtsc(); }

/// Whether the counter runs at one rate in every power state.
bool invariant_counter() noexcept {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8)) != 0;
}

/// A moment read from both clocks.
struct moment {
    std::uint64_t ticks;
    std::int64_t ns;
};

moment read_both() noexcept {
    // A thread that is preempted between the two readings gives a wrong pair, and a wide one.
    constexpr int tries = 3;
    moment best{};
    std::uint64_t narrowest = std::numeric_limits<std::uint64_t>::max();
    for (int i = 0; i < tries; ++i) {
        const std::uint64_t before = ticks();
        const std::int64_t ns = monotonic_ns();
        const std::uint64_t width = ticks() - before;
        if (width < narrowest) {
            narrowest = width;
            best = {before + width / 2, ns};
        }
    }
    return best;
}

const bool counter_usable = invariant_counter();
const moment process_start = read_both();

// Long enough that the error of the two readings of `process_start` is below 10 ppm.
constexpr std::int64_t calibration_ns = 10'000'000;
// How long a thread extrapolates from its anchor: at 10 ppm, 10 ns of error.
constexpr std::int64_t anchor_ns = 1'000'000;
constexpr unsigned scale_bits = 32;

/// A thread's extrapolation of CLOCK_MONOTONIC. Without a scale every reading is a system clock's.
struct thread_anchor {
    std::uint64_t ticks;
    std::uint64_t span;   // in ticks, for which the anchor holds
    std::uint64_t scale;  // nanoseconds a tick, times 2^scale_bits
    std::int64_t ns;
};

constinit thread_local thread_anchor anchor{};

std::int64_t anchor_again() noexcept {
    const moment now = read_both();
    const std::int64_t elapsed_ns = now.ns - process_start.ns;
    if (!counter_usable || elapsed_ns < calibration_ns) {
        return now.ns;
    }
    const double ns_a_tick =
        static_cast<double>(elapsed_ns) / static_cast<double>(now.ticks - process_start.ticks);
    // Where the last extrapolation ran ahead, time must not step back, and goes on more slowly
    // until the clocks meet again.
    const std::int64_t last =
        anchor.ns + static_cast<std::int64_t>((anchor.span * anchor.scale) >> scale_bits);
    const std::int64_t ahead_ns = anchor.scale != 0 ? std::max<std::int64_t>(last - now.ns, 0) : 0;
    const double pace =
        1 - static_cast<double>(std::min(ahead_ns, anchor_ns / 2)) / static_cast<double>(anchor_ns);
    anchor = {now.ticks, static_cast<std::uint64_t>(anchor_ns / ns_a_tick),
              static_cast<std::uint64_t>(ns_a_tick * pace * (std::uint64_t{1} << scale_bits)),
              now.ns + ahead_ns};
    return anchor.ns;
}

#endif

}  // namespace

#if defined(__x86_64__)

std::int64_t clock::now_ns() noexcept {
    const std::uint64_t passed = ticks() - anchor.ticks;
    if (passed < anchor.span) [[likely]] {
        return anchor.ns + static_cast<std::int64_t>((passed * anchor.scale) >> scale_bits);
    }
    return anchor_again();
}

bool clock::uses_time_stamp_counter() noexcept { return counter_usable; }

#else

std::int64_t clock::now_ns() noexcept { return monotonic_ns(); }

bool clock::uses_time_stamp_counter() noexcept { return false; }

#endif

}  // namespace rung
