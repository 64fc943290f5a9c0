#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <future>
#include <rung/offload.hpp>
#include <utility>

namespace rung {

/// A `std::future` as an operation.
///
/// A future can only be waited for, so this occupies a thread of the executor, which should be a
/// pool's, until it is ready. `cancel()` ends the operation, within 20 ms, and leaves alone what
/// the future stands for.
template <class Executor, class T>
auto as_operation(Executor&& pool, std::future<T> future) {
    return offload(std::forward<Executor>(pool),
                   [f = std::move(future)](offload_handle<>& handle) mutable {
                       constexpr std::chrono::milliseconds between_looks{20};
                       while (f.wait_for(between_looks) == std::future_status::timeout) {
                           handle.throw_if_cancelled();
                       }
                       return f.get();
                   });
}

/// A coroutine as an operation, which starts at once on an executor or context. `cancel()` cancels
/// the coroutine. Equivalent to `asio::co_spawn(ex, std::move(a), use_operation)`.
template <class Executor, class T, class AwaitableExecutor>
operation<T> as_operation(Executor&& ex, boost::asio::awaitable<T, AwaitableExecutor> a) {
    return boost::asio::co_spawn(std::forward<Executor>(ex), std::move(a), use_operation);
}

/// An initiating function, as `asio::deferred` packs one or as anything that takes a completion
/// token, as an operation, which starts at once. Equivalent to `initiating(use_operation)`.
template <class Initiating>
requires std::invocable<Initiating, const use_operation_t&>
auto as_operation(Initiating&& initiating) {
    return std::forward<Initiating>(initiating)(use_operation);
}

}  // namespace rung
