#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <rung/detail/monotonic.hpp>
#include <rung/detail/on_cancel.hpp>
#include <rung/detail/operation_storage.hpp>
#include <rung/detail/operation_watch.hpp>
#include <rung/detail/watch_function.hpp>
#include <rung/error.hpp>
#include <rung/operation_state.hpp>
#include <type_traits>
#include <utility>

namespace rung {

namespace detail {
struct operation_access;
}  // namespace detail

/// The client's end of something that goes on elsewhere: a state machine to watch in any way.
///
/// The operation begins `pending`, may become `running`, and ends `done`, `failed` or `cancelled`;
/// the producer moves it by an `operation_source`. Each of the ways to watch it may be used by
/// several watchers at once: look at it (`state`, `progress`), block (`wait`), be told of the end
/// (`async_wait`), of the next change (`async_next`) or of every change (`watch`).
///
/// A handler or function runs on its associated executor, by which it gets a priority
/// (`asio::bind_executor`). One that was bound to no executor runs inline: in the thread that made
/// the change, inside the producer's call, or if what it waits for has happened already, inside the
/// call that asked. It must not throw. It may change the operation in turn: who watches changes is
/// told of that one after all have been told of this one.
///
/// Dropping the operation does not cancel it. The context of an executor on which something is to
/// be called must live until it was called and the producer's call that told of it has returned,
/// unless a cancellation slot has ended a `watch`.
/// Thread-safety: const members may be called on any thread at any time, on the same object, too;
/// the others as usual. Memory: one block, recycled, or of the allocator given to `make_operation`.
///
/// Example:
///
///     auto [source, op] = rung::make_operation<std::string, double>();
///     std::thread producer([s = std::move(source)]() mutable { … s.set_done("result"); });
///     while (!op.wait_for(100ms)) { show(op.progress()); }
///     use(op.get());
template <class T, class Progress>
class operation {
    using storage = detail::operation_storage<T, Progress>;
    using end_arguments = detail::end_arguments<storage, T>;
    using change_arguments = detail::change_arguments<storage>;
    template <class U>
    struct signature {
        using type = void(boost::system::error_code, detail::handler_value<U>);
    };
    template <class U>
    requires std::is_void_v<U>
    struct signature<U> {
        using type = void(boost::system::error_code);
    };

public:
    using value_type = T;
    using progress_type = Progress;
    /// Of `async_wait`: `void(error_code)` for `T` void, else `void(error_code, T)`; a `T` without
    /// a default constructor comes as `std::optional<T>`.
    using end_signature = typename signature<T>::type;
    /// Of `async_next`.
    using change_signature = void(operation_state);

    /// No operation: only `valid`, assignment and destruction are allowed.
    operation() = default;

    bool valid() const noexcept { return static_cast<bool>(storage_); }

    /// Where it stands. One load; never waits.
    operation_state state() const noexcept { return storage_->state(); }
    /// Whether it has ended.
    bool ready() const noexcept { return is_final(state()); }
    /// The latest progress that the producer reported, or `Progress{}`. Never waits for the
    /// producer, nor makes it wait; for types of up to 8 bytes it is one load.
    Progress progress() const requires(!std::is_void_v<Progress>) {
        return storage_->progress.load();
    }
    /// How many changes there have been, of state or progress, modulo 2^32.
    std::uint32_t changes() const noexcept { return storage_->changes(); }

    /// Of a failed operation its error, of a cancelled one `operation_aborted`, else none.
    boost::system::error_code error() const noexcept { return storage_->error(); }
    /// Why a failed or cancelled operation ended so: of a cancelled one what the producer said.
    boost::system::error_code reason() const noexcept { return storage_->reason(); }
    /// The value, or null before the end and where there is none. A failed or cancelled operation
    /// has one if its producer says what it got that far, as a read of Asio does.
    const T* value() const noexcept requires(!std::is_void_v<T>) {
        return ready() ? storage_->value.peek() : nullptr;
    }

    /// Blocks until the end, looking for it without sleeping for `spin` at first; gives the final
    /// state. Errors: a thread that is inside `run…` or `poll…` of a `rung::io_context`, and so in
    /// a fiber there, gets `system_error` with `resource_deadlock_would_occur`, unless the end has
    /// come: to wait there would stop the loop, maybe for ever. In a loop of another library this
    /// cannot be noticed.
    operation_state wait(std::chrono::nanoseconds spin = {}) const {
        storage_->wait(no_deadline, spin.count());
        return state();
    }
    /// As `wait()`, for at most that long; whether it has ended.
    template <class Rep, class Period>
    bool wait_for(const std::chrono::duration<Rep, Period>& d,
                  std::chrono::nanoseconds spin = {}) const {
        if (d <= d.zero()) {
            return ready();
        }
        const std::int64_t now = detail::monotonic_now_ns();
        const std::chrono::duration<double, std::nano> wish = d;
        const auto most = static_cast<double>(no_deadline - now) / 2;  // an hour or a hundred years
        return storage_->wait(wish.count() >= most
                                  ? no_deadline
                                  : now + std::chrono::ceil<std::chrono::nanoseconds>(d).count(),
                              spin.count());
    }
    /// As `wait()`, until that time at most; whether it has ended.
    template <class Clock, class Duration>
    bool wait_until(const std::chrono::time_point<Clock, Duration>& t) const {
        return wait_for(t - Clock::now());
    }

    /// Waits as `wait()` does, and gives the value; throws the producer's exception or
    /// `system_error` with `error()` if there is none. A copy, or for a type that can only be moved
    /// the value itself, which one of `get` and the `async_wait`s may take.
    T get() & {
        wait();
        storage_->throw_error();
        return storage_->value.give(false);
    }
    /// The same, which takes the value where no watcher may still ask for it.
    T get() && {
        wait();
        storage_->throw_error();
        return storage_->value.give(storage_->sole_reference());
    }

    /// Asks the producer to end the operation early. A request: the producer may be done first, or
    /// not listen. Only the first one counts. What the producer gave to `on_cancel` runs inside.
    void cancel() const { storage_->cancel(); }

    /// Completes at the end, with the error (see `error`) and the value. Signature:
    /// `end_signature`. Cancellation (any type) ends the waiting, with `operation_aborted`, and
    /// leaves the operation alone. It holds work on the handler's executor, keeps what it needs of
    /// the operation, and allocates by the handler's allocator or recycles.
    template <class Token = boost::asio::deferred_t>
    auto async_wait(Token&& token = {}) const {
        return boost::asio::async_initiate<Token, end_signature>(
            detail::initiate_watch<storage, end_arguments>(*storage_), token);
    }
    /// Completes at the next change of state or progress after the call, with the state as of then;
    /// of an operation that has ended at once. Signature: `change_signature`. Cancellation ends the
    /// waiting, early, with the present state. Otherwise as `async_wait`.
    template <class Token = boost::asio::deferred_t>
    auto async_next(Token&& token = {}) const {
        return boost::asio::async_initiate<Token, change_signature>(
            detail::initiate_watch<storage, change_arguments>(*storage_), token);
    }
    /// As `async_next(token)`, and at once if there have been other than `seen` changes: so that
    /// nothing is missed between `changes()`, a look at the operation and this call.
    template <class Token = boost::asio::deferred_t>
    auto async_next(std::uint32_t seen, Token&& token = {}) const {
        return boost::asio::async_initiate<Token, change_signature>(
            detail::initiate_watch<storage, change_arguments>(*storage_, seen), token);
    }

    /// Calls `f(operation_state)`, or `f(operation_state, progress)` where there is progress, at
    /// every change from now on, last for the end; at once if it has ended.
    ///
    /// A function that was bound to no executor is called inline, at each change. On an executor
    /// `delivery::latest` calls it with the newest state and progress, not more often than it comes
    /// to run; `delivery::each` with each change in order, for each of which it keeps a record.
    /// Two calls never overlap. A cancellation slot bound to the function ends the watching: no call
    /// begins after that, one may be under way in another thread; the executor is let go of, so that
    /// its context may be destroyed while the operation goes on.
    template <class F>
    void watch(F&& f, delivery how = delivery::latest) const {
        detail::watch_changes(*storage_, std::forward<F>(f), how);
    }

private:
    friend struct detail::operation_access;
    static constexpr std::int64_t no_deadline = INT64_MAX;

    explicit operation(storage* s) noexcept : storage_(s) {}

    // Moved, not copied: the type below could be shared.
    struct owner : detail::core_ptr<storage> {
        owner() = default;
        explicit owner(storage* s) noexcept : detail::core_ptr<storage>(s) {}
        owner(owner&&) = default;
        owner& operator=(owner&&) = default;
    };
    owner storage_;
};

/// The producer's end of an operation.
///
/// Exactly one of the `set_…` that end it is called once, after which the source is empty. A source
/// that is destroyed, or assigned to, before that fails the operation with `error::abandoned`.
/// Preconditions: not empty, but for `valid`, `cancel_requested`, moves and destruction; any other
/// call on an empty source asserts, and does nothing where assertions are off, so that a final
/// state is final. Thread-safety: one thread at a time; every thread may use the operation
/// meanwhile.
template <class T, class Progress>
class operation_source {
    using storage = detail::operation_storage<T, Progress>;

public:
    operation_source() = default;
    operation_source(operation_source&& other) noexcept
        : storage_(std::exchange(other.storage_, nullptr)) {}
    operation_source& operator=(operation_source&& other) noexcept {
        operation_source taken(std::move(other));
        std::swap(storage_, taken.storage_);
        return *this;
    }
    ~operation_source() {
        if (storage_ != nullptr) {
            storage_->abandon();
            storage_->release();
        }
    }

    /// Whether the operation has not ended, by this source at least.
    bool valid() const noexcept { return storage_ != nullptr; }

    /// From pending to running; again while running, which is a change, too.
    void set_running() noexcept {
        if (usable()) {
            storage_->changed(operation_state::running);
        }
    }
    /// Reports progress, while pending or running. Wait-free but for telling those who watch.
    template <class P = Progress>
    void set_progress(std::type_identity_t<P> p) requires(!std::is_void_v<P>) {
        if (usable()) {
            storage_->progress.store(std::move(p));
            storage_->changed();
        }
    }
    /// Ends it with a value, built from the arguments. If that throws nothing has happened.
    template <class... Args>
    void set_done(Args&&... args) {
        if (usable()) {
            storage_->value.emplace(std::forward<Args>(args)...);
            end(operation_state::done);
        }
    }
    /// Ends it with an error, which must be one; and with what was achieved that far, if it is
    /// said.
    template <class... Args>
    void set_failed(boost::system::error_code e, Args&&... partial) {
        if (usable()) {
            BOOST_ASSERT_MSG(e.failed(), "an operation fails with an error");
            end_with(operation_state::failed, e, std::forward<Args>(partial)...);
        }
    }
    /// Ends it with an exception: `error()` is its code if it is a `system_error`, else
    /// `error::exception`.
    void set_failed(std::exception_ptr e) {
        if (usable()) {
            storage_->set_exception(std::move(e));
            end(operation_state::failed);
        }
    }
    /// Ends it as cancelled, whether or not that was asked for, for a reason.
    template <class... Args>
    void set_cancelled(boost::system::error_code reason = boost::asio::error::operation_aborted,
                       Args&&... partial) {
        if (usable()) {
            end_with(operation_state::cancelled, reason, std::forward<Args>(partial)...);
        }
    }

    /// Whether the client has asked for the end. One load. False if empty.
    bool cancel_requested() const noexcept {
        return storage_ != nullptr && storage_->cancel_requested();
    }
    /// Runs `f()` when the client asks for the end; now, if it has. Once at most, in the thread
    /// that asks or on the function's associated executor; never after the end, for which the
    /// source waits if it runs in another thread, on an executor, too: `f` must not wait for that
    /// thread. A second function replaces the first, for which it waits in the same way, and which
    /// does not run any more. It must not throw.
    template <class F>
    void on_cancel(F&& f) {
        if (usable()) {
            detail::set_cancel_function(*storage_, std::forward<F>(f));
        }
    }

private:
    friend struct detail::operation_access;
    explicit operation_source(storage* s) noexcept : storage_(s) {}

    bool usable() const noexcept {
        BOOST_ASSERT_MSG(storage_ != nullptr, "the operation has ended, or was never there");
        return storage_ != nullptr;
    }
    template <class... Args>
    void end_with(operation_state to, boost::system::error_code e, Args&&... partial) {
        if constexpr (sizeof...(partial) != 0) {
            storage_->value.emplace(std::forward<Args>(partial)...);
        }
        storage_->set_error(e);
        end(to);
    }
    void end(operation_state to) noexcept {
        storage* const s = std::exchange(storage_, nullptr);  // handlers may destroy this object
        s->finish(to);
        s->release();
    }

    storage* storage_ = nullptr;
};

namespace detail {

/// What joins, tokens and producers of our own need of the two ends.
struct operation_access {
    template <class T, class Progress>
    static rung::operation<T, Progress> make_client(operation_storage<T, Progress>* s) noexcept {
        return rung::operation<T, Progress>(s);
    }
    template <class T, class Progress>
    static operation_source<T, Progress> make_source(operation_storage<T, Progress>* s) noexcept {
        return operation_source<T, Progress>(s);
    }
    template <class T, class Progress>
    static operation_storage<T, Progress>& storage_of(
        const rung::operation<T, Progress>& op) noexcept {
        return *op.storage_;
    }
    template <class T, class Progress>
    static operation_storage<T, Progress>* storage_of(
        const operation_source<T, Progress>& s) noexcept {
        return s.storage_;
    }
};

}  // namespace detail

/// Makes the two ends of an operation in memory of an allocator. Throws what that throws.
template <class T = void, class Progress = void, class Allocator>
std::pair<operation_source<T, Progress>, operation<T, Progress>> make_operation(
    const Allocator& a) {
    using storage = detail::allocated_storage<detail::operation_storage<T, Progress>, Allocator>;
    detail::operation_storage<T, Progress>* const s = storage::make(a, operation_state::pending);
    return {detail::operation_access::make_source(s), detail::operation_access::make_client(s)};
}

/// Makes the two ends of an operation in recycled memory. Throws `std::bad_alloc`.
template <class T = void, class Progress = void>
std::pair<operation_source<T, Progress>, operation<T, Progress>> make_operation() {
    return make_operation<T, Progress>(detail::recycling_allocator<void>());
}

}  // namespace rung
