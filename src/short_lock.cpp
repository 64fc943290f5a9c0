#include <rung/detail/short_lock.hpp>

#include "futex.hpp"

namespace rung::detail {

void short_lock::wait() noexcept {
    // The holder needs a few instructions; only where it lost its core is sleeping shorter.
    constexpr int looks = 100;
    for (int i = 0; i < looks; ++i) {
        std::uint32_t expected = free;
        if (word_.compare_exchange_weak(expected, taken, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
            return;
        }
    }
    while (word_.exchange(contended, std::memory_order_acquire) != free) {
        futex_wait(&word_, contended);
    }
}

void short_lock::wake() noexcept { futex_wake(&word_, 1); }

}  // namespace rung::detail
