#pragma once

#include <cstdint>
#include <ctime>

namespace bench {

/// Monotonic nanoseconds, the same clock in every process of the machine.
inline std::uint64_t now_ns() noexcept {
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(t.tv_nsec);
}

inline constexpr std::uint64_t ns_per_ms = 1'000'000;

}  // namespace bench
