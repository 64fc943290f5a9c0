#pragma once

#include <cstdint>
#include <ctime>

namespace rung::detail {

/// CLOCK_MONOTONIC, which decides when something is due. `rung::clock` is for what is measured.
inline std::int64_t monotonic_now_ns() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// The same as of the kernel's last tick, for a seventh of the price.
inline std::int64_t coarse_now_ns() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// By how much `coarse_now_ns` may lag: a tick of 100 Hz, the slowest there is.
inline constexpr std::int64_t coarse_lag_ns = 10'000'000;

}  // namespace rung::detail
