#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <rung/detail/biased_mutex.hpp>
#include <utility>

#include "futex.hpp"
#include "spin_pause.hpp"

namespace rung::detail {

template <class Kind>
constinit thread_local
    typename basic_biased_mutex<Kind>::cell* basic_biased_mutex<Kind>::this_cell_ = nullptr;
template <class Kind>
constinit typename basic_biased_mutex<Kind>::cell basic_biased_mutex<Kind>::nobody_{};

namespace {

/// The same without `membarrier`. False where it does not work: other processors tell each other of
/// changed pages without interrupts.
bool barrier_by_page() noexcept {
#if defined(__x86_64__)
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    constexpr std::size_t size = 4096;
    void* const page =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    *static_cast<volatile char*>(page) = 1;
    const bool done = ::mprotect(page, size, PROT_READ) == 0;
    ::munmap(page, size);
    return done;
#else
    return false;
#endif
}

int membarrier(int command) noexcept {
    return static_cast<int>(::syscall(SYS_membarrier, command, 0, 0));
}

/// Makes every running thread of the process pass a full barrier.
///
/// `membarrier` may be refused later than it was allowed, by a filter that a program gives itself once
/// it has started. Then a page loses the right to be written to, which interrupts every core that may
/// have that right cached. Without either, going on would let two threads inside.
void barrier() noexcept {
    while (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
        if (errno != ENOMEM) {
            if (!barrier_by_page()) {
                std::fputs("rung: membarrier was allowed at first and is refused now\n", stderr);
                std::abort();
            }
            return;
        }
    }
}

/// Whether this process may ask for barriers; asked once.
bool barriers_allowed() noexcept {
#if defined(RUNG_TSAN)
    return false;
#else
    static const bool allowed = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
    return allowed;
#endif
}

}  // namespace

/// Cells of threads that have ended.
template <class Kind>
struct basic_biased_mutex<Kind>::cell_pool {
    std::mutex mutex;
    cell* first = nullptr;  // guarded by mutex

    static cell_pool& instance() noexcept {
        // Without a destructor to speak of: threads that outlive the statics give cells back, too.
        static constinit cell_pool pool;
        return pool;
    }
};

/// Gives a thread's cell back at its end.
template <class Kind>
struct basic_biased_mutex<Kind>::cell_return {
    ~cell_return() {
        cell_pool& pool = cell_pool::instance();
        const std::lock_guard lock(pool.mutex);
        this_cell_->thread.store(nullptr, std::memory_order_relaxed);
        this_cell_->next = pool.first;
        pool.first = this_cell_;
        this_cell_ = nullptr;
    }
};

template <class Kind>
bool basic_biased_mutex<Kind>::claim_cell() noexcept {
    if (this_cell_ != nullptr) {
        return true;
    }
    {
        cell_pool& pool = cell_pool::instance();
        const std::lock_guard lock(pool.mutex);
        if (pool.first != nullptr) {
            this_cell_ = pool.first;
            pool.first = this_cell_->next;
        } else {
            this_cell_ = new (std::nothrow) cell;
        }
    }
    if (this_cell_ != nullptr) {
        this_cell_->thread.store(__builtin_thread_pointer(), std::memory_order_relaxed);
        static thread_local const cell_return at_exit;
        static_cast<void>(at_exit);
    }
    return this_cell_ != nullptr;
}

template <class Kind>
void basic_biased_mutex<Kind>::own() noexcept {
    move_in();
    if (home_ == this_cell_ && !owned() && barriers_allowed()) {
        next_owner_ = this_cell_;
    }
}

template <class Kind>
void basic_biased_mutex<Kind>::move_in() noexcept {
    if (claim_cell()) {
        home_ = this_cell_;
    }
}

/// Waits until the thread that has just lost its ownership is outside.
///
/// It is inside for less time than it takes to fall asleep and be woken, unless it was preempted
/// there. Then yielding would be of no use to a thread of real-time priority on the same core.
template <class Kind>
void basic_biased_mutex<Kind>::await_exit(cell* owner) noexcept {
    constexpr int spins_before_sleep = 256;
    barrier();  // pairs with the fence in try_lock_as_owner()
    for (int i = 0; i < spins_before_sleep; ++i) {
        if (owner->inside.load(std::memory_order_acquire) == 0) {
            return;
        }
        spin_pause();
    }
    owner->sleepers.fetch_add(1, std::memory_order_relaxed);
    barrier();  // pairs with the fence in leave()
    while (owner->inside.load(std::memory_order_acquire) != 0) {
        futex_wait(&owner->inside, 1);
    }
    owner->sleepers.fetch_sub(1, std::memory_order_relaxed);
}

template <class Kind>
void basic_biased_mutex<Kind>::wake_sleepers(cell* here) noexcept {
    futex_wake(&here->inside);
}

template <class Kind>
void basic_biased_mutex<Kind>::lock_mutex() noexcept {
    // It is held for less time than it takes to fall asleep and be woken.
    constexpr int spins_before_sleep = 100;
    bool locked = mutex_.try_lock();
    for (int i = 0; !locked && i < spins_before_sleep; ++i) {
        spin_pause();
        locked = mutex_.try_lock();
    }
    if (!locked) {
        mutex_.lock();
    }
    cell* const owner = owner_.load(std::memory_order_relaxed);
    if (owner != nobody()) {
        owner_.store(nobody(), std::memory_order_relaxed);
        await_exit(owner);  // who may read and write what the lock guards until then
        ++borrows_;
    }
    visits_ += home_ != this_cell_ ? 1 : 0;
}

template <class Kind>
void basic_biased_mutex<Kind>::unlock_mutex() noexcept {
    if (next_owner_ != nobody()) {
        last_owner_ = std::exchange(next_owner_, nobody());
        // Pairs with the second load of the owner's.
        owner_.store(last_owner_, std::memory_order_release);
    }
    mutex_.unlock();
}

template class basic_biased_mutex<engine_locks>;
template class basic_biased_mutex<object_locks>;

}  // namespace rung::detail
