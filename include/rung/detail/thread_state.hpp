#pragma once

namespace rung::detail {

class scheduler;

/// One activation of a scheduler's loop on this thread; nested activations form a list.
struct thread_state {
    scheduler* running;         // whose loop this is
    thread_state* outer;        // the activation below on the same stack
    bool runs_handlers = true;  // false in the destructor, which destroys them
};

/// The innermost activation of this thread, or null outside any loop.
extern constinit thread_local thread_state* this_thread_state;

/// This thread's innermost activation of `s`, or null.
inline thread_state* find_thread_state(const scheduler& s) noexcept {
    for (thread_state* t = this_thread_state; t != nullptr; t = t->outer) {
        if (t->running == &s) {
            return t;
        }
    }
    return nullptr;
}

}  // namespace rung::detail
