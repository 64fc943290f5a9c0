#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <rung/clock.hpp>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/fiber_core.hpp>
#include <rung/detail/fiber_deadline.hpp>
#include <rung/detail/fiber_result.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung {

/// The type of `use_fiber`.
class use_fiber_t {
public:
    constexpr use_fiber_t() noexcept = default;

    /// The same token with a deadline: an operation that has not ended by then is cancelled
    /// (`cancellation_type::terminal`) and, if that ends it, fails with `asio::error::timed_out`.
    /// Through `redirect_error` it shows as `operation_aborted`. One timer of the loop, in the
    /// fiber's frame.
    constexpr use_fiber_t until(clock::time_point deadline) const noexcept {
        use_fiber_t t;
        t.deadline_ = deadline;
        return t;
    }
    /// Equivalent to `until(now + timeout)`, where now is when this is called.
    template <class Rep, class Period>
    use_fiber_t after(const std::chrono::duration<Rep, Period>& timeout) const noexcept {
        return until(std::chrono::steady_clock::now() + std::chrono::ceil<clock::duration>(timeout));
    }
    constexpr const std::optional<clock::time_point>& deadline() const noexcept {
        return deadline_;
    }

    /// An executor for which `use_fiber` is the default completion token.
    template <class Inner>
    struct executor_with_default : Inner {
        using default_completion_token_type = use_fiber_t;

        template <class Executor>
        requires(!std::is_same_v<Executor, executor_with_default> &&
                 std::is_convertible_v<Executor, Inner>)
        executor_with_default(const Executor& ex) noexcept : Inner(ex) {}
    };
    /// The I/O object `T` with `use_fiber` for its default completion token.
    template <class T>
    using as_default_on_t = typename T::template rebind_executor<
        executor_with_default<typename T::executor_type>>::other;
    /// The same for an object.
    template <class T>
    static as_default_on_t<std::decay_t<T>> as_default_on(T&& object) {
        return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
    }

private:
    std::optional<clock::time_point> deadline_;
};

/// Completion token: suspends the calling fiber until the operation has ended, and returns its
/// result.
///
/// Completion signature `void()`, `void(T)` or `void(T...)`: returns nothing, the value or a tuple.
/// A leading `error_code` is thrown as `system_error`, a leading `exception_ptr` is rethrown; with
/// `asio::as_tuple(use_fiber)` and `asio::redirect_error(use_fiber, ec)` they are not. An operation
/// that completes within its initiating function does not suspend the fiber. Precondition: called
/// in a fiber, and not within an initiating function that another wait of the same fiber has called;
/// otherwise `std::logic_error`, before the operation is started. Cancellation: the operation gets
/// the slot of the fiber (see `spawn`), or the one that `asio::bind_cancellation_slot` gives it,
/// beside which a deadline works as well. Once a fiber was cancelled, further operations throw
/// `operation_aborted` at once; see `this_fiber::reset_cancellation`. If the operation's handler is
/// destroyed without having been called (as when the context is destroyed), the fiber's stack is
/// unwound by an exception of a type of its own: what catches `...` must rethrow.
///
/// Example:
///
///     std::size_t n = socket.async_read_some(buffer, rung::use_fiber);
///     auto [ec, m] = socket.async_read_some(buffer, asio::as_tuple(rung::use_fiber.after(5s)));
inline constexpr use_fiber_t use_fiber{};

}  // namespace rung

namespace rung::detail {

/// Adaptors of `use_fiber` that change only how its result is given.
template <class Token>
inline constexpr bool adapts_use_fiber = false;
template <class Token>
inline constexpr bool adapts_use_fiber<boost::asio::as_tuple_t<Token>> =
    adapts_use_fiber<Token> || std::is_same_v<Token, use_fiber_t>;
template <class Token>
inline constexpr bool adapts_use_fiber<boost::asio::redirect_error_t<Token>> =
    adapts_use_fiber<Token> || std::is_same_v<Token, use_fiber_t>;

/// A slot of the caller's, which forgets an operation that has ended.
struct operation_slot {
    boost::asio::cancellation_slot slot;
    ~operation_slot() {
        if (slot.is_connected()) {
            slot.clear();
        }
    }
};

}  // namespace rung::detail

namespace boost::asio {

template <class Signature>
class async_result<rung::use_fiber_t, Signature> {
    using result = rung::detail::fiber_result_for<Signature>;

public:
    using return_type = typename result::return_type;

    template <class Initiation, class Token, class... Args>
    static return_type initiate(Initiation&& initiation, Token&& token, Args&&... args) {
        return wait(token, nullptr, std::forward<Initiation>(initiation),
                    std::forward<Args>(args)...);
    }

    /// The same with a slot for the operation in place of the fiber's, if it is not null.
    template <class Initiation, class... Args>
    static return_type wait(const rung::use_fiber_t& token, const cancellation_slot* slot,
                            Initiation&& initiation, Args&&... args) {
        // An operation of ours may end without a handler, and then it needs no wait.
        using tuple = typename result::tuple;
        if constexpr (requires(tuple& t) { initiation.at_once(t, args...); }) {
            rung::detail::check_fiber();
            tuple now;
            if (initiation.at_once(now, args...)) {
                return result::give(std::move(now));
            }
        }
        if (token.deadline().has_value()) [[unlikely]] {
            return wait_until(*token.deadline(), slot, std::forward<Initiation>(initiation),
                              std::forward<Args>(args)...);
        }
        result r;
        if (slot != nullptr) {
            r.use_slot(*slot);
        }
        std::forward<Initiation>(initiation)(typename result::handler(r),
                                             std::forward<Args>(args)...);
        r.suspend();
        return r.get();
    }

private:
    template <class Initiation, class... Args>
    static return_type wait_until(rung::clock::time_point when, const cancellation_slot* slot,
                                  Initiation&& initiation, Args&&... args) {
        result r;
        rung::detail::operation_slot own;
        if (slot != nullptr) {
            own.slot = *slot;
            r.use_slot(own.slot);
        }
        rung::detail::fiber_deadline deadline(r);
        std::forward<Initiation>(initiation)(typename result::handler(r),
                                             std::forward<Args>(args)...);
        deadline.arm(when);
        r.suspend();
        if (deadline.came()) {
            r.set_timed_out();
        }
        return r.get();
    }
};

/// With a slot of the operation's own, through which the deadline reaches it as well.
template <class Signature>
class async_result<cancellation_slot_binder<rung::use_fiber_t, cancellation_slot>, Signature> {
    using plain = async_result<rung::use_fiber_t, Signature>;

public:
    using return_type = typename plain::return_type;

    template <class Initiation, class Token, class... Args>
    static return_type initiate(Initiation&& initiation, Token&& token, Args&&... args) {
        const cancellation_slot slot = token.get_cancellation_slot();
        return plain::wait(token.get(), &slot, std::forward<Initiation>(initiation),
                           std::forward<Args>(args)...);
    }
};

/// A slot around an adaptor is one within it.
template <class Adaptor, class Signature>
requires rung::detail::adapts_use_fiber<Adaptor>
class async_result<cancellation_slot_binder<Adaptor, cancellation_slot>, Signature> {
    using binder = cancellation_slot_binder<Adaptor, cancellation_slot>;
    static auto turned(const binder& b) {
        const auto within = bind_cancellation_slot(b.get_cancellation_slot(), b.get().token_);
        return rung::detail::readapted(b.get(), within);
    }

public:
    template <class Initiation, class Token, class... Args>
    static decltype(auto) initiate(Initiation&& initiation, Token&& token, Args&&... args) {
        auto t = turned(token);
        return async_initiate<decltype(t), Signature>(std::forward<Initiation>(initiation), t,
                                                      std::forward<Args>(args)...);
    }
};

}  // namespace boost::asio
