#pragma once

#include <boost/asio/async_result.hpp>
#include <mutex>
#include <rung/mutex.hpp>
#include <utility>

namespace rung {

/// A condition variable over `rung::mutex`, for fibers, coroutines, callbacks and threads together.
///
/// Thread-safety: safe. Whoever waits when it is destroyed is told `operation_aborted`.
class condition_variable {
public:
    condition_variable() = default;

    /// Gives the mutex back and waits for a notification. Completes when the caller has the mutex
    /// again, whether notified or not. Signature: `void(error_code)`. Precondition: the caller has
    /// the mutex. Cancellation: every type, while it waits to be notified. Errors:
    /// `operation_aborted`. A fiber that is unwound here does not have the mutex.
    template <class Token>
    auto async_wait(mutex& m, Token&& token) {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this](auto handler, mutex* held) {
                using waiting = detail::waiting_handler<detail::plain_waiter, decltype(handler)>;
                held->list_.open_gate();
                auto* const w = waiting::make(std::move(handler), held->executor_.get());
                w->after = &held->list_;
                w->connect(list_);
                list_.wait(w);
                held->unlock();
            },
            token, &m);
    }

    /// The same in a fiber, which it suspends, or on a thread, which it blocks. A fiber's
    /// cancellation, and that the condition variable goes, is thrown as `system_error`, with the
    /// mutex taken. A fiber that is unwound here finds the lock released.
    void wait(std::unique_lock<mutex>& lock);
    template <class Predicate>
    void wait(std::unique_lock<mutex>& lock, Predicate p) {
        while (!p()) {
            wait(lock);
        }
    }

    /// Lets the one who has waited longest, or everybody, go on.
    void notify_one() { list_.let_go(1); }
    void notify_all() { list_.let_go(detail::wait_list::unlimited); }

private:
    detail::wait_list list_{0};
};

}  // namespace rung
