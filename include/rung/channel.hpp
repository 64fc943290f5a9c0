#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/system/system_error.hpp>
#include <concepts>
#include <cstddef>
#include <optional>
#include <rung/detail/channel_core.hpp>
#include <rung/this_fiber.hpp>
#include <rung/use_fiber.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung {

/// A bounded queue of values between fibers, coroutines, callbacks and threads, any number on each
/// side.
///
/// Values arrive in the order in which they were sent, and who waits is served in the order of
/// coming. With a capacity of 0 a value goes from hand to hand: a send ends when it is received. A
/// channel that one thread uses costs neither a lock nor an atomic operation on it; see
/// doc/decisions/0037-mutexes-that-settle.md. Moving a `T` must not throw, and happens under the
/// channel's lock: it must not use another synchronisation object.
///
/// After `close` nothing more is accepted; what was sent before, waiting senders' values included,
/// is still received, and then receivers are told `eof`. A value that was given to a fiber or a
/// handler that is destroyed before it goes on is the first in the channel again. In a fiber an
/// operation that need not wait does not suspend it (but for a turn of the others once in a while).
/// Thread-safety: safe. Whoever waits when it is destroyed is told `operation_aborted`; values that
/// nobody has received are destroyed with it.
///
/// Example:
///
///     rung::channel<job> jobs(ctx, 64);
///     rung::spawn(ctx, [&] { while (auto j = jobs.receive()) { work(*j); } });
///     asio::co_spawn(ctx, [&]() -> asio::awaitable<void> {
///         co_await jobs.async_send(job(), asio::use_awaitable);
///         jobs.close();
///     }, asio::detached);
template <std::default_initializable T>
class channel {
    static_assert(std::is_nothrow_move_constructible_v<T>, "values are moved under a lock");
    using core = detail::channel_core<T>;

public:
    using value_type = T;

    /// Room for `capacity` values is allocated now. Handlers without an executor of their own run
    /// on that one. Throws `std::bad_alloc`.
    template <class ContextOrExecutor>
    requires std::is_constructible_v<detail::wait_executor, ContextOrExecutor&>
    explicit channel(ContextOrExecutor&& on, std::size_t capacity = 0)
        : executor_(on), core_(capacity) {}

    /// Sends a value. Completes when it is in the channel, or received where there is no room.
    /// Signature: `void(error_code)`. Cancellation: every type, while it waits; a cancelled call
    /// has not sent. Errors: `broken_pipe` once the channel is closed, `operation_aborted`. Throws
    /// `std::bad_alloc`.
    template <class Token>
    auto async_send(T value, Token&& token) {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            detail::send_initiation<T>{&core_, &executor_.get()}, token, std::move(value));
    }
    /// Receives a value. Completes when there is one. Signature: `void(error_code, T)`, with a
    /// default-constructed value in case of an error. Cancellation: every type; a cancelled call
    /// has received nothing. Errors: `eof` once the channel is closed and empty,
    /// `operation_aborted`. Throws `std::bad_alloc`.
    template <class Token>
    auto async_receive(Token&& token) {
        return boost::asio::async_initiate<Token, void(boost::system::error_code, T)>(
            detail::receive_initiation<T>{&core_, &executor_.get()}, token);
    }

    /// Sends a value if that need not wait and the channel is open; else `value` stays as it is.
    bool try_send(T&& value) { return core_.try_send(value) == core::outcome::done; }
    /// Equivalent to `try_send(T(value))`.
    bool try_send(const T& value) { return try_send(T(value)); }
    /// Receives a value if there is one.
    std::optional<T> try_receive() {
        std::optional<T> value;
        core_.try_receive([&](T&& v) noexcept { value.emplace(std::move(v)); });
        return value;
    }

    /// Sends a value: in a fiber it suspends that, elsewhere it blocks the thread, which must not
    /// be the one that would receive it. False if the channel is closed. Throws `system_error` with
    /// `operation_aborted` if the fiber is cancelled or the channel goes.
    bool send(T value);
    /// Receives a value likewise. None if the channel is closed and empty.
    std::optional<T> receive();

    /// Ends the channel, from either side. Receivers that wait are told `eof`.
    void close() { core_.close(); }
    /// Ends all waits with `operation_aborted`. The channel stays open.
    void cancel() { core_.cancel(); }

    bool is_open() const noexcept { return core_.is_open(); }
    std::size_t capacity() const noexcept { return core_.capacity(); }
    /// The values in the channel, without those of senders that wait.
    std::size_t size() const noexcept { return core_.size(); }

private:
    detail::wait_executor executor_;
    core core_;
};

template <std::default_initializable T>
bool channel<T>::send(T value) {
    const bool in_fiber = this_fiber::exists();
    if (in_fiber) {
        detail::check_fiber();
    }
    if (core_.try_send(value) == core::outcome::done) {
        return true;
    }
    std::tuple<boost::system::error_code> end;
    if (in_fiber) {
        end = async_send(std::move(value), boost::asio::as_tuple(use_fiber));
    } else {
        detail::blocked_thread<detail::sending<T>> here(std::move(value));
        core_.send(&here);
        here.block();
        end = here.take_result();
    }
    return detail::went_well(std::get<0>(end), boost::asio::error::broken_pipe);
}

template <std::default_initializable T>
std::optional<T> channel<T>::receive() {
    const bool in_fiber = this_fiber::exists();
    if (in_fiber) {
        detail::check_fiber();
    }
    std::optional<T> value = try_receive();
    if (value.has_value()) {
        return value;
    }
    std::tuple<boost::system::error_code, T> end;
    if (in_fiber) {
        end = async_receive(boost::asio::as_tuple(use_fiber));
    } else {
        detail::blocked_thread<detail::receiving<T>> here;
        core_.receive(&here);
        here.block();
        end = here.take_result();
    }
    if (detail::went_well(std::get<0>(end), boost::asio::error::eof)) {
        value.emplace(std::get<1>(std::move(end)));
    }
    return value;
}

}  // namespace rung
