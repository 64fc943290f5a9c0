#pragma once

#include <chrono>
#include <cstdint>

namespace rung {

/// A steady clock for measuring, read from the processor's time-stamp counter where that is sound.
///
/// Its time points are `std::chrono::steady_clock`'s, and it agrees with that clock to within a
/// microsecond: each thread takes the time from CLOCK_MONOTONIC five thousand times a second of
/// reading and measures the counter's rate by it. A reading costs little more than the counter
/// itself. The counter is used where it is invariant and the kernel's own clock source; elsewhere,
/// and for good once its rate has been found to change (a suspended machine, a virtual machine that
/// moved), readings are CLOCK_MONOTONIC's. Even then it is never wrong by a millisecond, and never
/// steps back on a thread. Deadlines and timers are decided by CLOCK_MONOTONIC itself.
/// Thread-safe; never throws. Units: nanoseconds.
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
