#include "fork_guarded.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <rung/detail/recycler.hpp>
#include <utility>

#include "stack_store.hpp"

namespace rung::detail {

struct fork_registry {
    static constexpr std::size_t kinds = 3;

    std::mutex mutex;
    std::array<fork_guarded*, kinds> first{};  // guarded by mutex
    std::atomic<fork_guarded*> newcomers{nullptr};

    /// Has those who have joined take their places. Under the mutex.
    void receive() noexcept {
        fork_guarded* g = newcomers.exchange(nullptr, std::memory_order_acquire);
        while (g != nullptr) {
            fork_guarded* const next = g->next_;
            g->at_ = &first[static_cast<std::size_t>(g->order_)];
            g->next_ = std::exchange(*g->at_, g);
            if (g->next_ != nullptr) {
                g->next_->at_ = &g->next_;
            }
            g = next;
        }
    }

    void prepare() noexcept {
        mutex.lock();
        receive();
        for (fork_guarded* const head : first) {
            for (fork_guarded* g = head; g != nullptr; g = g->next_) {
                g->lock_for_fork();
            }
        }
        stack_store::lock_all();
        recycler::lock_depots();
    }
    void end(void (fork_guarded::*go_on)() noexcept) noexcept {
        recycler::unlock_depots();
        stack_store::unlock_all();
        for (std::size_t kind = kinds; kind-- != 0;) {
            for (fork_guarded* g = first[kind]; g != nullptr; g = g->next_) {
                (g->*go_on)();
            }
        }
        mutex.unlock();
    }

    static void before_fork() noexcept;
    static void in_parent() noexcept;
    static void in_child() noexcept;
};

namespace {

constinit fork_registry registry;
pid_t this_process = ::getpid();

// When the library is loaded: what a program registers later, and what that calls of ours, comes
// before we lock, and after we unlock.
const int registered = ::pthread_atfork(&fork_registry::before_fork, &fork_registry::in_parent,
                                        &fork_registry::in_child);

}  // namespace

void fork_registry::before_fork() noexcept { registry.prepare(); }
void fork_registry::in_parent() noexcept { registry.end(&fork_guarded::go_on); }
void fork_registry::in_child() noexcept {
    this_process = ::getpid();
    registry.end(&fork_guarded::go_on_alone);
}

bool fork_guarded::in_borrowed_memory() noexcept { return ::getpid() != this_process; }

void fork_guarded::join_forks(order o) noexcept {
    static_cast<void>(registered);
    order_ = o;
    next_ = registry.newcomers.load(std::memory_order_relaxed);
    while (!registry.newcomers.compare_exchange_weak(next_, this, std::memory_order_release,
                                                     std::memory_order_relaxed)) {
    }
    if (o != order::guests) {
        const std::lock_guard lock(registry.mutex);
        registry.receive();
    }
}

void fork_guarded::leave_forks() noexcept {
    const std::lock_guard lock(registry.mutex);
    registry.receive();
    *at_ = next_;
    if (next_ != nullptr) {
        next_->at_ = at_;
    }
}

}  // namespace rung::detail
