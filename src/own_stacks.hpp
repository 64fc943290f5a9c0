#pragma once

#include <mutex>
#include <rung/detail/own_stack.hpp>

namespace rung::detail {

/// The fibers whose stacks are of no pool. Thread-safe.
class own_stacks {
public:
    static void add(own_stack& s, fiber& lives) noexcept;
    static void remove(own_stack& s) noexcept;
    /// Whether the fiber still is on such a stack.
    static bool hold(const fiber& f) noexcept;

    /// Calls `f(fiber&)` for each of them, under the lock.
    template <class F>
    static void for_each_fiber(F f) {
        const std::lock_guard lock(mutex_);
        for (own_stack* s = first_; s != nullptr; s = s->next_) {
            f(*s->lives_);
        }
    }

private:
    static std::mutex mutex_;
    static own_stack* first_;  // guarded by mutex_
};

}  // namespace rung::detail
