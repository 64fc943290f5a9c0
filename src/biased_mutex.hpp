#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <rung/config.hpp>
#include <utility>

namespace rung::detail {

/// A mutex that costs its owner two plain stores and a load.
///
/// One thread may own it. The owner announces that it is inside and looks whether somebody has
/// revoked its right; another thread takes the real mutex, revokes the right, and makes every running
/// thread of the process pass a full barrier (`membarrier`, Linux 4.14), after which either the
/// owner has seen the revocation or the announcement is visible. So the cost of ordering falls on
/// the other thread alone. Where `membarrier` is refused, and under ThreadSanitizer, which cannot
/// see it, nobody owns the mutex and it is a plain one.
/// Source: D. Dice, H. Huang and M. Yang, "Asymmetric Dekker Synchronization", 2001.
class biased_mutex {
public:
    /// Locks on the thread that owns the mutex.
    void lock_owner() noexcept {
        inside_.store(1, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // pairs with revoke's membarrier
        if (revoked_.load(std::memory_order_acquire) != 0) [[unlikely]] {  // pairs with unlock()
            wait_for_mutex();
        }
    }
    void unlock_owner() noexcept {
        if (owner_holds_mutex_) [[unlikely]] {
            owner_holds_mutex_ = false;
            mutex_.unlock();
            return;
        }
        inside_.store(0, std::memory_order_release);  // pairs with the wait in revoke()
    }

    /// Locks on any other thread. True if it had to be borrowed from an owner.
    bool lock() noexcept {
        mutex_.lock();
        if (owned_) {
            revoke();
        }
        return owned_;
    }
    void unlock() noexcept {
        if (owned_) {
            revoked_.store(0, std::memory_order_release);  // pairs with the load in lock_owner()
        }
        mutex_.unlock();
    }

    /// Makes the calling thread, which has locked with `lock()`, the owner once it unlocks. False
    /// where there can be no owner.
    bool own() noexcept;
    /// Ends ownership. The caller has locked with `lock()`; the owner, if it is another thread, finds
    /// out at its next `lock_owner()`, which is an ordinary lock from then on.
    void disown() noexcept { owned_ = false; }

    /// Locks on the owner, which is not inside, and ends its ownership. To be unlocked by `unlock()`.
    void lock_and_disown() noexcept {
        mutex_.lock();
        owned_ = false;
        revoked_.store(1, std::memory_order_relaxed);
    }

    /// Turns the former owner's `lock_owner()` into a `lock()`. True if it held the mutex itself; if
    /// false, the right was not revoked and nothing has changed.
    bool become_plain() noexcept { return std::exchange(owner_holds_mutex_, false); }

    /// The mutex itself, for a condition variable. Only while nobody owns it.
    std::mutex& native() noexcept { return mutex_; }

private:
    void wait_for_mutex() noexcept;
    void revoke() noexcept;

    // Written by the owner.
    std::atomic<std::uint32_t> inside_{0};
    bool owner_holds_mutex_ = false;
    // Written by others under mutex_.
    std::atomic<std::uint32_t> revoked_{1};
    bool owned_ = false;  // guarded by mutex_
    std::mutex mutex_;
};

}  // namespace rung::detail
