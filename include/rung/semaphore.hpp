#pragma once

#include <cstdint>
#include <rung/detail/wait_list.hpp>
#include <type_traits>

namespace rung {

/// A counting semaphore for fibers, coroutines, callbacks and threads together; first come, first
/// served. A fiber that is unwound leaves the queue, and a unit that was given to a fiber or a
/// handler that is destroyed before it goes on is given to the next.
///
/// Thread-safety: safe. Whoever waits when it is destroyed is told `operation_aborted`.
///
/// Example, at most ten queries at once: `queries.acquire(); query(); queries.release();`
class semaphore {
public:
    /// Handlers without an executor of their own run on that one.
    template <class ContextOrExecutor>
    requires std::is_constructible_v<detail::wait_executor, ContextOrExecutor&>
    semaphore(ContextOrExecutor&& on, std::uint32_t count) : executor_(on), list_(count) {}

    /// Takes a unit. Completes when there is one. Signature: `void(error_code)`. Cancellation:
    /// every type; a cancelled call has taken none. Errors: `operation_aborted`. A fiber that finds
    /// one does not wait.
    template <class Token>
    auto async_acquire(Token&& token) {
        return detail::async_take(list_, executor_.get(), std::forward<Token>(token));
    }
    /// Takes a unit if there is one. Never waits.
    bool try_acquire() noexcept { return list_.try_take(); }
    /// Takes a unit: in a fiber it suspends that, elsewhere it blocks the thread. Throws
    /// `system_error` with `operation_aborted` if the fiber is cancelled or the semaphore goes.
    void acquire() { list_.take_blocking(); }
    /// Adds units.
    void release(std::uint32_t n = 1) { list_.give(n); }
    /// The units that nobody has.
    std::uint64_t available() const noexcept { return list_.units(); }

private:
    detail::wait_executor executor_;
    detail::wait_list list_;
};

}  // namespace rung
