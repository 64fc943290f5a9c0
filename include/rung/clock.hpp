#pragma once

#include <chrono>
#include <cstdint>

namespace rung {

/// A steady clock read from the processor's time-stamp counter.
///
/// Its time points are `std::chrono::steady_clock`'s: the counter is calibrated against
/// CLOCK_MONOTONIC when the process starts and anchored to it again every millisecond of reading, so
/// that the two agree to within about 100 ns. A reading costs little more than the counter itself.
/// Where the counter is not invariant, or the processor is not x86-64, every reading falls back to
/// CLOCK_MONOTONIC. Thread-safe; never throws. Units: nanoseconds.
///
/// Example: `auto const begin = rung::clock::now();`
class clock {
public:
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr bool is_steady = true;

    /// The current time.
    static time_point now() noexcept { return time_point{duration{now_ns()}}; }

    /// The current time in nanoseconds since CLOCK_MONOTONIC's epoch.
    static std::int64_t now_ns() noexcept;

    /// Whether readings come from the time-stamp counter (false: from CLOCK_MONOTONIC).
    static bool uses_time_stamp_counter() noexcept;
};

}  // namespace rung
