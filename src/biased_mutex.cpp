#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <rung/detail/biased_mutex.hpp>
#include <thread>

namespace rung::detail {

template <class Kind>
constinit thread_local
    typename basic_biased_mutex<Kind>::cell* basic_biased_mutex<Kind>::this_cell_ = nullptr;
template <class Kind>
constinit typename basic_biased_mutex<Kind>::cell basic_biased_mutex<Kind>::nobody_{};

namespace {

int membarrier(int command) noexcept {
    return static_cast<int>(::syscall(SYS_membarrier, command, 0, 0));
}

/// Tells the processor that this is a loop that waits.
void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
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
    if (owner_.load(std::memory_order_relaxed) != this_cell_ && barriers_allowed() &&
        claim_cell()) {
        lender_ = this_cell_;
    }
}

template <class Kind>
void basic_biased_mutex<Kind>::lock_mutex() noexcept {
    constexpr int spins_before_yield = 128;
    // It is held for less time than it takes to fall asleep and be woken.
    constexpr int spins_before_sleep = 100;
    bool locked = mutex_.try_lock();
    for (int i = 0; !locked && i < spins_before_sleep; ++i) {
        pause();
        locked = mutex_.try_lock();
    }
    if (!locked) {
        mutex_.lock();
    }
    cell* const owner = owner_.load(std::memory_order_relaxed);
    if (owner == nobody() || owner == this_cell_) {
        return;
    }
    ++borrows_;
    owner_.store(nobody(), std::memory_order_relaxed);
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);  // pairs with the fence in try_lock_as_owner()
    for (int i = 0; owner->inside.load(std::memory_order_acquire) != 0; ++i) {
        if (i >= spins_before_yield) {
            std::this_thread::yield();  // the owner was preempted inside
        }
    }
}

template <class Kind>
void basic_biased_mutex<Kind>::unlock_mutex() noexcept {
    last_owner_ = lender_;
    owner_.store(lender_, std::memory_order_release);  // pairs with the second load of the owner's
    mutex_.unlock();
}

template class basic_biased_mutex<engine_locks>;
template class basic_biased_mutex<object_locks>;

}  // namespace rung::detail
