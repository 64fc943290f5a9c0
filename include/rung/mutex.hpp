#pragma once

#include <rung/detail/wait_list.hpp>
#include <type_traits>

namespace rung {

class condition_variable;

/// A mutex for fibers, coroutines, callbacks and threads together.
///
/// It passes to waiters in the order in which they came, whatever their priority; nobody overtakes.
/// It belongs to whoever took it, not to a thread, so that a coroutine or a callback may take it in
/// one step and give it back in another. Not recursive. There is no priority inheritance: see
/// doc/decisions/0035-no-priority-inheritance.md. A fiber that is unwound leaves the queue, and a
/// mutex that was passed to a fiber or a handler that is destroyed before it goes on passes to the
/// next. Thread-safety: safe. Precondition of destruction: nobody holds it; who waits for it is told
/// `operation_aborted`.
///
/// Example: `std::lock_guard lock(mutex);` in a fiber, `co_await mutex.async_lock(use_awaitable);`
class mutex {
public:
    /// Handlers without an executor of their own run on that one.
    template <class ContextOrExecutor>
    requires std::is_constructible_v<detail::wait_executor, ContextOrExecutor&>
    explicit mutex(ContextOrExecutor&& on) : executor_(on) {}

    /// Takes the mutex. Completes when it is the caller's. Signature: `void(error_code)`.
    /// Cancellation: every type; a cancelled call has not taken it. Errors: `operation_aborted`.
    /// A fiber that finds the mutex free does not wait.
    template <class Token>
    auto async_lock(Token&& token) {
        return detail::async_take(list_, executor_.get(), std::forward<Token>(token));
    }
    /// Takes the mutex if it is free. Never waits.
    bool try_lock() noexcept { return list_.try_take(); }
    /// Takes the mutex: in a fiber it suspends that, elsewhere it blocks the thread, which must not
    /// be the one that would give it back. Throws `system_error` with `operation_aborted` if the
    /// fiber is cancelled or the mutex goes.
    void lock() { list_.take_blocking(); }
    /// Gives the mutex to the one who has waited longest. Precondition: it is taken.
    void unlock() { list_.give(1); }

private:
    friend class condition_variable;
    detail::wait_executor executor_;
    detail::wait_list list_{1};
};

}  // namespace rung
