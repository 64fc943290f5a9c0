/// How a fiber's wait begins, and how it ends: well, or by unwinding the stack.

#include <cstdio>
#include <exception>
#include <stdexcept>

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
        queue();
    }
}

/// The wait is over, and the fiber goes on from its context's queue.
void fiber::queue() noexcept {
    queued_.store(true, std::memory_order_relaxed);  // before another thread may take it off
    engine::post(*engine_, this);
}

/// Ends the wait by unwinding the stack: at once on the fiber's thread, else from its context's
/// queue. Where the executor is not ours, its context may be about to end and take no more functions,
/// so that the stack is unwound here.
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
    if (home_ == &this_thread_state) {
        unwind();
    } else {
        queue();
    }
}

void fiber::unwind() noexcept {
    course_ = course::unwinding;
    home_ = &this_thread_state;
    const fiber_name name = name_;  // should it throw, the stack is somebody else's by then
    try {
        resume();
    } catch (...) {
        // Unwinding follows from a destructor, and what escapes a fiber then has nobody to go to.
        std::fprintf(stderr, "rung: fiber '%s' threw while it was unwound\n", name.data());
        std::terminate();
    }
}

void fiber::throw_if_unwinding() {
    constexpr unsigned patience = 1000;
    if (!unwinding()) {
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

void fiber::refuse_to_wait() {
    throw_if_unwinding();
    throw std::logic_error(
        "rung::use_fiber: this fiber is about to wait for an operation, and the function that "
        "starts that must not wait itself");
}

}  // namespace rung::detail
