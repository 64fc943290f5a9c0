/// How a fiber's wait begins, and how it ends: well, or by unwinding the stack.

#include <cstdio>
#include <exception>

#include "fiber_switch.hpp"

namespace rung::detail {

/// Ends the wait where the executor is not ours, from whichever thread.
void fiber::wake_elsewhere() {
    if (handshake_.exchange(handshake::woken, std::memory_order_acq_rel) == handshake::suspended) {
        if (current() == nullptr) {
            carrier_.execute(fiber_resumption(*this));
        } else {
            post_elsewhere();  // not on top of another fiber
        }
    }
}

/// Ends the wait, but the fiber does not run before this has returned.
void fiber::wake_later() {
    if (engine_ == nullptr) {
        if (handshake_.exchange(handshake::woken, std::memory_order_acq_rel) ==
            handshake::suspended) {
            post_elsewhere();
        }
    } else if (home_ == &this_thread_state &&
               status_.load(std::memory_order_relaxed) == status::running) {
        woken_ = true;
    } else {
        engine::post(*engine_, this);
    }
}

/// Ends the wait by unwinding the stack.
void fiber::abandon() noexcept {
    if (engine_ == nullptr) {
        dropped_ = true;
        if (handshake_.exchange(handshake::woken, std::memory_order_acq_rel) ==
            handshake::suspended) {
            unwind();
        }
        return;
    }
    if (home_ == &this_thread_state && status_.load(std::memory_order_relaxed) == status::running) {
        dropped_ = true;
        woken_ = true;
        return;
    }
    dropped_ = true;
    if (home_ == &this_thread_state || !engine::post_to_thread(*engine_, this, home_)) {
        unwind();
    }
}

void fiber::unwind() noexcept {
    unwinding_ = true;
    home_ = &this_thread_state;
    try {
        resume();
    } catch (...) {
        // Unwinding follows from a destructor, and what escapes a fiber then has nobody to go to.
        std::fprintf(stderr, "rung: fiber '%s' threw while it was unwound\n", name_.data());
        std::terminate();
    }
}

void fiber::throw_if_unwinding() {
    constexpr unsigned patience = 1000;
    if (!unwinding_) {
        return;
    }
    if (++swallowed_ > patience) {
        std::fprintf(stderr,
                     "rung: fiber '%s' goes on although it is being unwound: one of its "
                     "catch (...) clauses does not rethrow\n",
                     name_.data());
        std::terminate();
    }
    throw forced_unwind();
}

}  // namespace rung::detail
