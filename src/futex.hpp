#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>
#include <limits>

namespace rung::detail {

/// Whether a futex is shared by processes.
enum class futex_scope : int { process = FUTEX_PRIVATE_FLAG, shared = 0 };

inline constexpr std::int64_t futex_forever = std::numeric_limits<std::int64_t>::max();

/// Sleeps while the word is `expected`, until then on CLOCK_MONOTONIC at most. It may wake for
/// nothing. False if the time is up.
inline bool futex_wait(const std::atomic<std::uint32_t>* word, std::uint32_t expected,
                       std::int64_t deadline_ns = futex_forever,
                       futex_scope scope = futex_scope::process) noexcept {
    constexpr std::int64_t second_ns = 1'000'000'000;
    const timespec deadline{deadline_ns / second_ns, deadline_ns % second_ns};
    // The form with a bit set takes a point in time, not a length.
    const long result = ::syscall(SYS_futex, word, FUTEX_WAIT_BITSET | static_cast<int>(scope),
                                  expected, deadline_ns == futex_forever ? nullptr : &deadline,
                                  nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
}

/// Wakes threads that sleep on the word, which need not exist any more.
inline void futex_wake(const std::atomic<std::uint32_t>* word, int threads = INT_MAX,
                       futex_scope scope = futex_scope::process) noexcept {
    ::syscall(SYS_futex, word, FUTEX_WAKE | static_cast<int>(scope), threads);
}

}  // namespace rung::detail
