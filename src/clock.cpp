#include <ctime>
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
    const std::uint64_t before = ticks();
    const std::int64_t ns = monotonic_ns();
    return {before + (ticks() - before) / 2, ns};
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
    const double ns_a_tick = static_cast<double>(elapsed_ns) /
                             static_cast<double>(now.ticks - process_start.ticks);
    // Time must not step back where the last extrapolation ran ahead.
    const std::int64_t last =
        anchor.ns + static_cast<std::int64_t>((anchor.span * anchor.scale) >> scale_bits);
    const bool ahead = anchor.scale != 0 && last > now.ns && last - now.ns < anchor_ns;
    anchor = {now.ticks, static_cast<std::uint64_t>(anchor_ns / ns_a_tick),
              static_cast<std::uint64_t>(ns_a_tick * (std::uint64_t{1} << scale_bits)),
              ahead ? last : now.ns};
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
