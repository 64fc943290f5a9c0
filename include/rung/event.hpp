#pragma once

#include <atomic>
#include <cstdint>
#include <rung/detail/wait_list.hpp>
#include <type_traits>

namespace rung {

/// A state, set or not, for which fibers, coroutines, callbacks and threads wait.
///
/// Thread-safety: safe. Whoever waits when it is destroyed is told `operation_aborted`.
class event {
public:
    /// Not set. Handlers without an executor of their own run on that one.
    template <class ContextOrExecutor>
    requires std::is_constructible_v<detail::wait_executor, ContextOrExecutor&>
    explicit event(ContextOrExecutor&& on) : executor_(on) {}

    /// Waits until the event is set. Signature: `void(error_code)`. Cancellation: every type.
    /// Errors: `operation_aborted`. A fiber that finds it set does not wait.
    template <class Token>
    auto async_wait(Token&& token) {
        return detail::async_take(list_, executor_.get(), std::forward<Token>(token));
    }
    /// Waits: in a fiber it suspends that, elsewhere it blocks the thread. Throws `system_error`
    /// with `operation_aborted` if the fiber is cancelled or the event goes.
    void wait() { list_.take_blocking(); }
    /// Sets the event: everybody goes on.
    void set() { list_.set(detail::wait_list::unlimited); }
    void reset() { list_.set(0); }
    bool is_set() const noexcept { return list_.units() != 0; }

private:
    detail::wait_executor executor_;
    detail::wait_list list_{0};
};

/// A counter that is counted down to zero, for which fibers, coroutines, callbacks and threads
/// wait.
///
/// Thread-safety: safe. Whoever waits when it is destroyed is told `operation_aborted`.
class latch {
public:
    template <class ContextOrExecutor>
    requires std::is_constructible_v<detail::wait_executor, ContextOrExecutor&>
    latch(ContextOrExecutor&& on, std::int64_t count) : zero_(on), count_(count) {
        if (count == 0) {
            zero_.set();
        }
    }

    /// Takes from the counter. Precondition: no more than is left.
    void count_down(std::int64_t n = 1) {
        if (count_.fetch_sub(n, std::memory_order_acq_rel) == n) {
            zero_.set();
        }
    }
    /// Waits until the counter is zero. As `event::async_wait`.
    template <class Token>
    auto async_wait(Token&& token) {
        return zero_.async_wait(std::forward<Token>(token));
    }
    /// As `event::wait`.
    void wait() { zero_.wait(); }
    bool try_wait() const noexcept { return zero_.is_set(); }

private:
    event zero_;
    std::atomic<std::int64_t> count_;
};

}  // namespace rung
