#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/strand.hpp>
#include <cstdint>
#include <memory>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/defaults.hpp>
#include <rung/detail/engine.hpp>
#include <rung/detail/function_operation.hpp>
#include <rung/priority.hpp>
#include <type_traits>
#include <utility>

namespace rung {

namespace detail {
struct executor_access;
template <class Executor, class Allocator>
class allocating_executor;
}  // namespace detail

/// Submits functions to an `io_context`.
///
/// One type whatever its properties: `asio::require` gives a `rung::executor` back, so that objects
/// and handlers bound to different priorities have the same type, and `any_io_executor` holds it
/// without allocation. Properties: `blocking` (possibly, never), `relationship`,
/// `outstanding_work`, `allocator`, `mapping`, `context`, `priority`, `io_priority`. Only a custom
/// allocator, which no bit can hold, makes another type of executor, with the same properties.
///
/// Thread-safety: distinct objects: safe; shared objects: unsafe. It must not outlive its context.
///
/// Example:
///
///     auto urgent = asio::require(ctx.get_executor(), rung::priority::high);
///     asio::ip::tcp::acceptor::rebind_executor<rung::executor>::other control(urgent, endpoint);
class executor {
public:
    executor(const executor& other) noexcept : scheduler_(other.scheduler_), bits_(other.bits_) {
        start_work();
    }
    /// The one that is moved from goes on as an executor that tracks no work.
    executor(executor&& other) noexcept : scheduler_(other.scheduler_), bits_(other.bits_) {
        other.bits_ &= ~tracked_bit;
    }
    executor& operator=(const executor& other) noexcept {
        executor copy(other);
        swap(copy);
        return *this;
    }
    executor& operator=(executor&& other) noexcept {
        executor taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~executor() {
        if ((bits_ & tracked_bit) != 0) [[unlikely]] {
            detail::engine::work_finished(*scheduler_);
        }
    }

    /// The context.
    io_context& context() const noexcept { return detail::engine::context_of(*scheduler_); }
    /// Whether this thread is inside a `run…` or `poll…` of the context.
    bool running_in_this_thread() const noexcept {
        const detail::thread_state* const here = detail::find_thread_state(*scheduler_);
        return here != nullptr && here->runs_handlers;
    }

    /// Submits a function. With `blocking.possibly` (the default) it may run before the call
    /// returns, on a thread of the context. Memory is of the function's associated allocator, or
    /// recycled. An exception that it throws leaves the context's `run()`.
    template <class Function>
    void execute(Function&& f) const;

    friend bool operator==(const executor& a, const executor& b) noexcept {
        return a.scheduler_ == b.scheduler_ && ((a.bits_ ^ b.bits_) & ~tracked_bit) == 0;
    }

    // The properties, as Asio's require and query ask for them.
    executor require(boost::asio::execution::blocking_t::possibly_t) const noexcept {
        return with(never_bit, 0);
    }
    executor require(boost::asio::execution::blocking_t::never_t) const noexcept {
        return with(0, never_bit);
    }
    executor require(boost::asio::execution::relationship_t::fork_t) const noexcept {
        return with(continuation_bit, 0);
    }
    executor require(boost::asio::execution::relationship_t::continuation_t) const noexcept {
        return with(0, continuation_bit);
    }
    executor require(boost::asio::execution::outstanding_work_t::tracked_t) const noexcept {
        return with(0, tracked_bit);
    }
    executor require(boost::asio::execution::outstanding_work_t::untracked_t) const noexcept {
        return with(tracked_bit, 0);
    }
    executor require(boost::asio::execution::allocator_t<void>) const noexcept { return *this; }
    template <class T>
    executor require(boost::asio::execution::allocator_t<std::allocator<T>>) const noexcept {
        return *this;
    }
    template <class Allocator>
    detail::allocating_executor<executor, Allocator> require(
        boost::asio::execution::allocator_t<Allocator> a) const noexcept;
    executor require(priority p) const noexcept {
        return with(3U << level_shift, static_cast<std::uintptr_t>(p.value()) << level_shift);
    }
    executor require(io_priority p) const noexcept {
        return with(3U << io_level_shift, static_cast<std::uintptr_t>(p.value()) << io_level_shift);
    }

    static constexpr boost::asio::execution::mapping_t query(
        boost::asio::execution::mapping_t) noexcept {
        return boost::asio::execution::mapping.thread;
    }
    io_context& query(boost::asio::execution::context_t) const noexcept { return context(); }
    boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
        if ((bits_ & never_bit) != 0) {
            return boost::asio::execution::blocking.never;
        }
        return boost::asio::execution::blocking.possibly;
    }
    boost::asio::execution::relationship_t query(
        boost::asio::execution::relationship_t) const noexcept {
        if ((bits_ & continuation_bit) != 0) {
            return boost::asio::execution::relationship.continuation;
        }
        return boost::asio::execution::relationship.fork;
    }
    boost::asio::execution::outstanding_work_t query(
        boost::asio::execution::outstanding_work_t) const noexcept {
        if ((bits_ & tracked_bit) != 0) {
            return boost::asio::execution::outstanding_work.tracked;
        }
        return boost::asio::execution::outstanding_work.untracked;
    }
    template <class Allocator>
    std::allocator<void> query(boost::asio::execution::allocator_t<Allocator>) const noexcept {
        return {};
    }
    priority query(priority) const noexcept { return priority(level()); }
    io_priority query(io_priority) const noexcept { return io_priority(io_level()); }

    // The older executor interface, which some libraries still call.
    void on_work_started() const noexcept { detail::engine::work_started(*scheduler_); }
    void on_work_finished() const noexcept { detail::engine::work_finished(*scheduler_); }
    template <class Function, class Allocator>
    void dispatch(Function&& f, const Allocator& a) const;
    template <class Function, class Allocator>
    void post(Function&& f, const Allocator& a) const;
    template <class Function, class Allocator>
    void defer(Function&& f, const Allocator& a) const {
        post(std::forward<Function>(f), a);
    }

private:
    friend class io_context;
    friend struct detail::executor_access;
    template <class Executor, class Allocator>
    friend class detail::allocating_executor;

    static constexpr std::uintptr_t never_bit = 1;
    static constexpr std::uintptr_t continuation_bit = 2;
    static constexpr std::uintptr_t tracked_bit = 4;
    static constexpr unsigned level_shift = 3;
    static constexpr unsigned io_level_shift = 5;
    static constexpr std::uintptr_t plain_bits = (1U << level_shift) | (1U << io_level_shift);

    executor(detail::scheduler* s, std::uintptr_t bits) noexcept : scheduler_(s), bits_(bits) {
        start_work();
    }
    executor with(std::uintptr_t off, std::uintptr_t on) const noexcept {
        return {scheduler_, (bits_ & ~off) | on};
    }
    detail::level level() const noexcept {
        return static_cast<detail::level>((bits_ >> level_shift) & 3U);
    }
    detail::level io_level() const noexcept {
        return static_cast<detail::level>((bits_ >> io_level_shift) & 3U);
    }
    void start_work() const noexcept {
        if ((bits_ & tracked_bit) != 0) [[unlikely]] {
            detail::engine::work_started(*scheduler_);
        }
    }
    void swap(executor& other) noexcept {
        std::swap(scheduler_, other.scheduler_);
        std::swap(bits_, other.bits_);
    }
    template <class Function, class Allocator>
    void execute_with(Function&& f, const Allocator& a) const;

    detail::scheduler* scheduler_;
    std::uintptr_t bits_;
};

namespace detail {

/// What I/O objects need of an executor.
struct executor_access {
    /// Stands for no executor: it may be copied, compared and destroyed, and nothing else.
    static executor none() noexcept { return {nullptr, executor::plain_bits}; }
    static bool is_none(const executor& ex) noexcept { return ex.scheduler_ == nullptr; }
    static scheduler& engine_of(const executor& ex) noexcept { return *ex.scheduler_; }
    static bool is_tracked(const executor& ex) noexcept {
        return (ex.bits_ & executor::tracked_bit) != 0;
    }
    static level level_of(const executor& ex) noexcept { return ex.level(); }
    static level io_level_of(const executor& ex) noexcept { return ex.io_level(); }
};

}  // namespace detail

template <class Function>
void executor::execute(Function&& f) const {
    const auto a = boost::asio::get_associated_allocator(f);
    execute_with(std::forward<Function>(f), a);
}

template <class Function, class Allocator>
void executor::execute_with(Function&& f, const Allocator& a) const {
    detail::thread_state* const here =
        (bits_ & never_bit) != 0 ? nullptr : detail::find_thread_state(*scheduler_);
    if (here == nullptr || !here->runs_handlers) {
        post(std::forward<Function>(f), a);
        return;
    }
    std::decay_t<Function> own(std::forward<Function>(f));
    try {
        std::move(own)();
    } catch (...) {
        detail::engine::capture_exception(*here);
    }
}

template <class Function, class Allocator>
void executor::dispatch(Function&& f, const Allocator& a) const {
    if (!running_in_this_thread()) {
        post(std::forward<Function>(f), a);
        return;
    }
    std::decay_t<Function> own(std::forward<Function>(f));
    std::move(own)();
}

template <class Function, class Allocator>
void executor::post(Function&& f, const Allocator& a) const {
    detail::engine::post(*scheduler_, detail::make_function_operation(std::forward<Function>(f), a,
                                                                      level(), *scheduler_));
}

}  // namespace rung

#include <rung/detail/allocating_executor.hpp>
