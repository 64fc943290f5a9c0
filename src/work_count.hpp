#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace rung::detail {

/// Counts the work that keeps `run()` from returning beside what is queued and in flight.
///
/// Whoever holds the engine's lock counts in a plain integer, everybody else in an atomic one. Whether
/// any is left is decided from the atomic alone, into which `settle()` moves the other. Between two of
/// those the loop holds a unit there, so that a thread which ends its own sees that it is not the last
/// and need not touch the engine again.
class work_count {
public:
    // Under the lock.
    void add(std::int64_t n) noexcept { local_ += n; }
    /// Makes it cheap for other threads to end work until `settle()`.
    void hold() noexcept {
        if (!held_) {
            held_ = true;
            shared_.fetch_add(1, std::memory_order_relaxed);
        }
    }
    /// Whether there is none. From here on it takes the lock to end the last unit.
    bool settle() noexcept {
        const std::int64_t n = std::exchange(local_, 0) - (std::exchange(held_, false) ? 1 : 0);
        // Acquires what the threads that ended work did before: their posts.
        return (n == 0 ? shared_.load(std::memory_order_acquire)
                       : shared_.fetch_add(n, std::memory_order_acq_rel) + n) == 0;
    }
    /// Ends a unit that `end_unless_last()` has not ended.
    void end() noexcept { shared_.fetch_sub(1, std::memory_order_acq_rel); }

    // Any thread, without the lock.
    void begin() noexcept { shared_.fetch_add(1, std::memory_order_relaxed); }
    /// Ends a unit, unless it may be the last: the context may be destroyed as soon as that is gone.
    bool end_unless_last() noexcept {
        std::int64_t n = shared_.load(std::memory_order_relaxed);
        while (n > 1) {
            if (shared_.compare_exchange_weak(n, n - 1, std::memory_order_acq_rel,
                                              std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

private:
    std::int64_t local_ = 0;  // guarded by the engine's lock
    bool held_ = false;       // likewise
    alignas(64) std::atomic<std::int64_t> shared_{0};
};

}  // namespace rung::detail
