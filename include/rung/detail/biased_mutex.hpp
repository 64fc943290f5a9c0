#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <rung/config.hpp>

namespace rung::detail {

/// A mutex that costs its owner two plain stores and four loads.
///
/// One thread may own it, until another one locks it. The owner announces that it is inside and looks
/// whether it still is the owner; another thread takes the real mutex, revokes the ownership, and
/// makes every running thread of the process pass a full barrier (`membarrier`, Linux 4.14), after
/// which either the owner has seen the revocation or the announcement is visible. So the cost of
/// ordering falls on the other thread alone. A barrier interrupts every core that runs the process,
/// which takes from 0.3 µs to 50 µs on virtual ones; so the mutex then stays a plain one, until
/// `own()` is called again. Where `membarrier` is refused, and under ThreadSanitizer, which cannot see
/// it, nobody owns the mutex.
/// Source: D. Dice, H. Huang and M. Yang, "Asymmetric Dekker Synchronization", 2001.
///
/// A thread announces itself in one place for all mutexes of a `Kind`, and so holds one of them at
/// a time; what it does meanwhile may take those of another kind.
template <class Kind>
class basic_biased_mutex {
public:
    /// Where a thread announces that it is inside. Never freed, so that others may look at it after
    /// the thread's end; then another thread may get it, and with it what the first one owned.
    struct alignas(64) cell {
        std::atomic<std::uint32_t> inside{0};
        std::atomic<std::uint32_t> sleepers{0};  // on `inside`
        std::atomic<void*> thread{nullptr};      // whose it is; null: nobody's
        cell* next = nullptr;                    // in the pool of cells without a thread
    };

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
        cell* const here = owner();
        if (!is_mine(here)) {
            return false;
        }
        if (announce(here)) [[likely]] {
            return true;
        }
        leave(here);
        return false;
    }
    void unlock_as_owner() noexcept { leave(last_owner_); }

    // The same in two steps, for a caller that has no room for what follows a failure.
    /// The owner's cell, unless it has just been revoked; some cell where there is no owner.
    cell* owner() const noexcept { return owner_.load(std::memory_order_relaxed); }
    /// Whether a cell is the calling thread's.
    ///
    /// A thread's pointer takes one instruction to read, in every kind of object file; a thread-local
    /// takes a call in a shared object, and the registers for one in a program.
    static bool is_mine(const cell* c) noexcept {
        return c->thread.load(std::memory_order_relaxed) == __builtin_thread_pointer();
    }
    /// Announces that the owner is inside. False if it is the owner no more; then it has to leave.
    bool announce(cell* here) noexcept {
        here->inside.store(1, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);    // pairs with lock_mutex's barrier
        return owner_.load(std::memory_order_acquire) == here;  // pairs with unlock_mutex
    }

    /// Ends an announcement. Touches the cell alone: whoever waits for this may destroy the mutex.
    static void leave(cell* here) noexcept {
        here->inside.store(0, std::memory_order_release);     // pairs with await_exit()
        std::atomic_signal_fence(std::memory_order_seq_cst);  // pairs with await_exit's barrier
        if (here->sleepers.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            wake_sleepers(here);
        }
    }

    /// Makes the calling thread, which holds the lock by the mutex, the owner once it has unlocked.
    /// Without effect where there can be none.
    void own() noexcept;
    /// Leaves the mutex without owner. The caller holds the lock by the mutex.
    void disown() noexcept { next_owner_ = nobody(); }
    /// Whether a thread owns the mutex, or will once it is unlocked. Read under the lock.
    bool owned() const noexcept {
        return owner_.load(std::memory_order_relaxed) != nobody() || next_owner_ != nobody();
    }

    /// From now on the calling thread, which holds the lock, is no visitor.
    void move_in() noexcept;
    /// How often a thread has locked it that neither moved in last nor became the owner last. Read
    /// under the lock.
    std::uint64_t visits() const noexcept { return visits_; }
    /// How often that thread had to end an ownership for it. Read under the lock.
    std::uint64_t borrows() const noexcept { return borrows_; }

    /// The mutex itself, for a condition variable. Only while it is held `by_mutex`.
    std::mutex& native() noexcept { return mutex_; }

private:
    struct cell_pool;
    struct cell_return;

    /// What `owner_` is while there is none; no thread's cell.
    static cell* nobody() noexcept { return &nobody_; }
    static bool claim_cell() noexcept;

    static void wake_sleepers(cell* here) noexcept;
    static void await_exit(cell* owner) noexcept;
    void lock_mutex() noexcept;
    void unlock_mutex() noexcept;

    static constinit thread_local cell* this_cell_;
    static constinit cell nobody_;

    std::atomic<cell*> owner_{nobody()};  // written under mutex_ while there is none
    cell* last_owner_ = nobody();         // written with owner_, but for revocations
    // Guarded by mutex_.
    cell* next_owner_ = nobody();  // from unlock_mutex() on
    cell* home_ = nobody();        // whose locks are no visits
    std::uint64_t visits_ = 0;
    std::uint64_t borrows_ = 0;
    std::mutex mutex_;
};

struct engine_locks;
struct object_locks;
extern template class basic_biased_mutex<engine_locks>;
extern template class basic_biased_mutex<object_locks>;

/// The engine's.
using biased_mutex = basic_biased_mutex<engine_locks>;

}  // namespace rung::detail
