#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <exception>
#include <memory>
#include <rung/operation.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung {

/// The type of `use_operation`.
struct use_operation_t {
    constexpr use_operation_t() = default;
};

/// Completion token: starts the asynchronous operation at once and returns it as a
/// `rung::operation<T>`, already running.
///
/// `T` is void, the one value of the completion signature, or a `std::tuple` of several, without a
/// leading `error_code` or `exception_ptr`: that decides the end. `operation_aborted` makes it
/// cancelled, any other error failed; what else the handler got is there as `value()`. Where the
/// handler is destroyed without a call the operation fails with `error::abandoned`.
///
/// `cancel()` emits `cancellation_type::all` in the operation's cancellation slot. It does so on
/// the I/O object's executor, as Asio demands, and may be called on any thread. An initiating
/// function whose initiation names no executor gets the signal in the thread that cancels; an
/// executor that several threads run must be a strand, as for every per-operation cancellation.
/// Dropping the operation does not cancel it: buffers must live until it has ended. After its end
/// it refers to nothing of the executor, whose context it may outlive.
/// One block of recycled memory. Throws what the initiating function throws.
///
/// Example:
///
///     auto op = socket.async_read_some(buffer, rung::use_operation);
///     if (!op.wait_for(1s)) op.cancel();
///     std::size_t n = op.get();
inline constexpr use_operation_t use_operation;

namespace detail {

/// What becomes of the arguments of a completion handler.
template <class... Values>
struct completion_value {
    using type = std::tuple<Values...>;
};
template <class Value>
struct completion_value<Value> {
    using type = Value;
};
template <>
struct completion_value<> {
    using type = void;
};

/// Ends an operation with an exception; that of a cancellation makes it cancelled.
template <class T, class Progress>
void end_with_exception(operation_source<T, Progress>& source, std::exception_ptr e) {
    try {
        std::rethrow_exception(e);
    } catch (const boost::system::system_error& thrown) {
        if (thrown.code() == boost::asio::error::operation_aborted) {
            source.set_cancelled();
            return;
        }
    } catch (...) {
    }
    source.set_failed(std::move(e));
}

/// How a completion signature ends an operation: by an error code, …
template <class... Args>
struct signature_end {
    using value = typename completion_value<Args...>::type;
    template <class Source>
    static void end(Source& source, Args&&... args) {
        source.set_done(std::move(args)...);
    }
};
template <class... Args>
struct signature_end<boost::system::error_code, Args...> {
    using value = typename completion_value<Args...>::type;
    template <class Source>
    static void end(Source& source, boost::system::error_code&& e, Args&&... args) {
        if (!e.failed()) {
            source.set_done(std::move(args)...);
        } else if (e == boost::asio::error::operation_aborted) {
            source.set_cancelled(e, std::move(args)...);
        } else {
            source.set_failed(e, std::move(args)...);
        }
    }
};
/// … an exception, or in no other way than done.
template <class... Args>
struct signature_end<std::exception_ptr, Args...> {
    using value = typename completion_value<Args...>::type;
    template <class Source>
    static void end(Source& source, std::exception_ptr&& e, Args&&... args) {
        if (e == nullptr) {
            source.set_done(std::move(args)...);
        } else {
            end_with_exception(source, std::move(e));
        }
    }
};

/// The state of an operation behind an initiating function, with the signal for its slot. The hook
/// is part of it, so that it costs no second block.
///
/// Who holds on to the operation may outlive the context, so nothing of that stays beyond the end:
/// neither the executor nor what the initiating function has put into the slot.
template <class T, class Executor>
class token_storage : public operation_storage<T, void>, private cancel_hook {
public:
    token_storage(operation_core::destroy_function d, operation_state s, const Executor& ex)
        : operation_storage<T, void>(d, s), cancel_hook(&token_storage::acted), executor_(ex) {
        this->set_first_hook(*this);
    }
    ~token_storage() {}  // the executor has gone

    boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }
    /// Before the end, where the handler is called or destroyed. Without an executor the signal may
    /// be on its way in another thread, so that the slot stays as it is.
    void clear_slot() {
        if constexpr (!is_nowhere<Executor>) {
            if (!this->marked()) {
                slot().clear();
            }
        }
    }

private:
    /// Called once, by the end at the latest.
    static void acted(cancel_hook* hook, cancel_hook::action what) noexcept {
        auto* const self = static_cast<token_storage*>(hook);
        [[maybe_unused]] const Executor where(std::move(self->executor_));
        std::destroy_at(&self->executor_);
        if (what == cancel_hook::action::dispose) {
            return;
        }
        auto emit = [keep = core_ptr<token_storage>::share(self)] {
            if (!is_final(keep->state())) {
                keep->emit();
            }
        };
        if constexpr (is_nowhere<Executor>) {
            emit();
        } else {
            boost::asio::dispatch(where, std::move(emit));
        }
    }
    void emit() {
        this->set_mark(true);  // what is in the slot must not be cleared within its call
        signal_.emit(boost::asio::cancellation_type::all);
        this->set_mark(false);
        if (is_final(this->state())) {
            clear_slot();
        }
    }

    union {
        Executor executor_;  // until the hook is called
    };
    boost::asio::cancellation_signal signal_;
};

/// The completion handler that `use_operation` makes.
template <class Storage, class Completion, class Value>
class token_handler {
public:
    using cancellation_slot_type = boost::asio::cancellation_slot;

    explicit token_handler(Storage& s) noexcept
        : storage_(&s), source_(operation_access::make_source<Value, void>(&s)) {}
    token_handler(token_handler&&) = default;
    token_handler& operator=(token_handler&&) = delete;
    ~token_handler() {
        if (source_.valid()) {
            storage_->clear_slot();
        }
    }

    cancellation_slot_type get_cancellation_slot() const noexcept { return storage_->slot(); }

    template <class... Args>
    void operator()(Args&&... args) {
        storage_->clear_slot();
        Completion::end(source_, std::decay_t<Args>(std::forward<Args>(args))...);
    }

private:
    Storage* storage_;  // the source keeps it
    operation_source<Value, void> source_;
};

}  // namespace detail

}  // namespace rung

/// Makes initiating functions take the token.
template <class... Args>
class boost::asio::async_result<rung::use_operation_t, void(Args...)> {
    using completion = rung::detail::signature_end<std::decay_t<Args>...>;
    using value = typename completion::value;

public:
    using return_type = rung::operation<value>;

    template <class Initiation, class... InitArgs>
    static return_type initiate(Initiation&& initiation, rung::use_operation_t,
                                InitArgs&&... init_args) {
        using executor = std::decay_t<associated_executor_t<std::decay_t<Initiation>>>;
        using storage = rung::detail::token_storage<value, executor>;
        using allocator = rung::detail::recycling_allocator<void>;
        storage* const s = rung::detail::allocated_storage<storage, allocator>::make(
            allocator(), rung::operation_state::running, get_associated_executor(initiation));
        return_type op = rung::detail::operation_access::make_client<value, void>(s);
        std::forward<Initiation>(initiation)(
            rung::detail::token_handler<storage, completion, value>(*s),
            std::forward<InitArgs>(init_args)...);
        return op;
    }
};
