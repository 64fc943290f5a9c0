#pragma once

#include <atomic>
#include <cstdint>

namespace rung::detail {

/// A lock of four bytes for sections of a few instructions. Who finds it taken sleeps in the
/// kernel. Source: U. Drepper, "Futexes Are Tricky", 2011.
class short_lock {
public:
    void lock() noexcept {
        std::uint32_t expected = free;
        if (!word_.compare_exchange_strong(expected, taken, std::memory_order_acquire))
            [[unlikely]] {
            wait();
        }
    }
    void unlock() noexcept {
        if (word_.exchange(free, std::memory_order_release) == contended) [[unlikely]] {
            wake();
        }
    }

private:
    enum : std::uint32_t { free, taken, contended };
    void wait() noexcept;
    void wake() noexcept;

    std::atomic<std::uint32_t> word_{free};
};

}  // namespace rung::detail
