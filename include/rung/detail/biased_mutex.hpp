#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <rung/config.hpp>

namespace rung::detail {

/// A mutex that costs its owner two plain stores and three loads.
///
/// One thread may own it, for as long as no other wants to. The owner announces that it is inside
/// and looks whether it still is the owner; another thread takes the real mutex, revokes the
/// ownership, and makes every running thread of the process pass a full barrier (`membarrier`, Linux
/// 4.14), after which either the owner has seen the revocation or the announcement is visible. So
/// the cost of ordering falls on the other thread alone. Where `membarrier` is refused, and under
/// ThreadSanitizer, which cannot see it, nobody owns the mutex and it is a plain one.
/// Source: D. Dice, H. Huang and M. Yang, "Asymmetric Dekker Synchronization", 2001.
///
/// A thread announces itself in one place for all mutexes of a `Kind`, and so holds one of them at
/// a time; what it does meanwhile may take those of another kind.
template <class Kind>
class basic_biased_mutex {
public:
    /// How a lock was taken, for `unlock`.
    enum class held : std::uint8_t { as_owner, by_mutex };

    held lock() noexcept {
        if (try_lock_as_owner()) [[likely]] {
            return held::as_owner;
        }
        lock_mutex();
        return held::by_mutex;
    }

    void unlock(held h) noexcept {
        if (h == held::as_owner) [[likely]] {
            unlock_as_owner();
        } else {
            unlock_mutex();
        }
    }

    /// Locks if the calling thread is the owner and nobody has revoked that.
    bool try_lock_as_owner() noexcept {
        // A thread's pointer takes one instruction to read, in every kind of object file; a
        // thread-local takes a call in a shared object, and the registers for one in a program.
        cell* const here = owner_.load(std::memory_order_relaxed);
        if (here->thread.load(std::memory_order_relaxed) != __builtin_thread_pointer()) {
            return false;
        }
        here->inside.store(1, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // pairs with lock_mutex's membarrier
        if (owner_.load(std::memory_order_acquire) == here) [[likely]] {  // pairs with unlock_mutex
            return true;
        }
        here->inside.store(0, std::memory_order_release);  // pairs with the wait in lock_mutex()
        return false;
    }
    void unlock_as_owner() noexcept {
        last_owner_->inside.store(0, std::memory_order_release);  // pairs with the wait likewise
    }

    /// Makes the calling thread, which holds the lock, the owner. Without effect where there can be
    /// none, or where it is the owner already.
    void own() noexcept;
    /// Leaves the mutex without owner. The caller holds the lock by the mutex.
    void disown() noexcept { lender_ = nobody(); }

    /// Times that a thread took the lock while another owned it. Read under the lock.
    std::uint64_t borrows() const noexcept { return borrows_; }

    /// The mutex itself, for a condition variable. Only while it is held `by_mutex`.
    std::mutex& native() noexcept { return mutex_; }

private:
    /// Where a thread announces that it is inside. Never freed, so that others may look at it after
    /// the thread's end; then another thread may get it, and with it what the first one owned.
    struct alignas(64) cell {
        std::atomic<std::uint32_t> inside{0};
        std::atomic<void*> thread{nullptr};  // whose it is; null: nobody's
        cell* next = nullptr;                // in the pool of cells without a thread
    };
    struct cell_pool;
    struct cell_return;

    /// What `owner_` is while there is none; no thread's cell.
    static cell* nobody() noexcept { return &nobody_; }
    static bool claim_cell() noexcept;
    void lock_mutex() noexcept;
    void unlock_mutex() noexcept;

    static constinit thread_local cell* this_cell_;
    static constinit cell nobody_;

    std::atomic<cell*> owner_{nobody()};  // written under mutex_, or by the owner inside
    cell* last_owner_ = nobody();         // written with owner_, but for revocations
    cell* lender_ = nobody();             // guarded by mutex_: whom unlock_mutex makes the owner
    std::uint64_t borrows_ = 0;           // guarded by mutex_
    std::mutex mutex_;
};

struct engine_locks;
struct object_locks;
extern template class basic_biased_mutex<engine_locks>;
extern template class basic_biased_mutex<object_locks>;

/// The engine's.
using biased_mutex = basic_biased_mutex<engine_locks>;

}  // namespace rung::detail
