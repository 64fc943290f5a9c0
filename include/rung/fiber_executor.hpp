#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/execution_context.hpp>
#include <concepts>
#include <memory>
#include <rung/detail/allocating_executor.hpp>
#include <rung/detail/carrier_executor.hpp>
#include <rung/detail/fiber_task.hpp>
#include <rung/fiber_options.hpp>
#include <type_traits>
#include <utility>

namespace rung {

/// An executor that runs each function submitted to it in a fiber of its own.
///
/// So `post`, `dispatch` and `defer`, a handler that is bound to it, and each step of a coroutine
/// that is spawned on it may wait with `use_fiber`. It stands on another executor, which says when
/// and at which priority: a `rung::executor`, a strand, an `any_io_executor`, a stock
/// `io_context`'s. All properties are those of that executor, and `require` and `prefer` of them
/// give a `fiber_executor` back; a custom `allocator` gives another type of executor, with the same
/// properties. A strand orders the stretches between two waits, not whole
/// functions. What a function throws leaves the context's `run()`, and so does a lack of stacks.
/// Thread-safety: distinct objects: safe; shared objects: unsafe.
///
/// Example:
///
///     rung::fiber_executor fibers{ctx};
///     asio::post(fibers, [&] { answer(socket); });
class fiber_executor {
public:
    /// On the executor of a context.
    template <class Context>
    requires std::is_convertible_v<Context&, boost::asio::execution_context&>
    explicit fiber_executor(Context& context) : carrier_(context.get_executor()) {}
    /// On another executor.
    template <class Executor>
    requires(!std::same_as<Executor, fiber_executor> &&
             boost::asio::execution::is_executor<Executor>::value)
    explicit fiber_executor(const Executor& ex) : carrier_(ex) {}
    /// The same with options for each fiber.
    template <class ContextOrExecutor>
    requires std::constructible_from<fiber_executor, ContextOrExecutor&>
    fiber_executor(ContextOrExecutor&& on, const fiber_options& options) : fiber_executor(on) {
        settings_ = std::make_shared<const detail::fiber_settings>(detail::settings_of(options));
    }

    /// The executor below, as fibers see it.
    boost::asio::any_io_executor get_inner_executor() const { return carrier_.any(); }
    /// The context of the executor below.
    boost::asio::execution_context& context() const noexcept {
        return carrier_.query(boost::asio::execution::context);
    }

    /// Submits a function. With `blocking.possibly` on a thread of the context, its fiber starts at
    /// once, and this call returns when that ends or waits for the first time. Memory is of the
    /// function's associated allocator, or recycled.
    template <class Function>
    void execute(Function&& f) const {
        const auto a = boost::asio::get_associated_allocator(f);
        execute_with(std::forward<Function>(f), a);
    }

    friend bool operator==(const fiber_executor& a, const fiber_executor& b) noexcept {
        return a.carrier_ == b.carrier_ && a.settings_ == b.settings_;
    }

    template <class Property>
    requires requires(const detail::carrier_executor& c, const Property& p) { c.require(p); }
    fiber_executor require(const Property& p) const {
        fiber_executor other(*this);
        other.carrier_ = carrier_.require(p);
        return other;
    }
    fiber_executor require(boost::asio::execution::allocator_t<void>) const { return *this; }
    template <class T>
    fiber_executor require(boost::asio::execution::allocator_t<std::allocator<T>>) const {
        return *this;
    }
    template <class Allocator>
    detail::allocating_executor<fiber_executor, Allocator> require(
        boost::asio::execution::allocator_t<Allocator> a) const {
        return {*this, a.value()};
    }
    // Not of mapping's properties, for which it would be chosen where Asio asks the class itself.
    template <class Property>
    requires(!std::convertible_to<Property, boost::asio::execution::mapping_t> &&
             requires(const detail::carrier_executor& c, const Property& p) { c.query(p); })
    decltype(auto) query(const Property& p) const {
        return carrier_.query(p);
    }
    static constexpr boost::asio::execution::mapping_t query(
        boost::asio::execution::mapping_t m) noexcept {
        return detail::carrier_executor::query(m);
    }
    template <class Allocator>
    std::allocator<void> query(boost::asio::execution::allocator_t<Allocator>) const noexcept {
        return {};
    }

    // For `spawn`, which goes to the executor below.
    const detail::carrier_executor& carrier() const noexcept { return carrier_; }
    const std::shared_ptr<const detail::fiber_settings>& settings() const noexcept {
        return settings_;
    }

private:
    template <class Executor, class Allocator>
    friend class detail::allocating_executor;

    template <class Function, class Allocator>
    void execute_with(Function&& f, const Allocator& a) const {
        detail::execute_fiber(
            detail::make_function_task(carrier_, settings_, std::forward<Function>(f), a));
    }

    detail::carrier_executor carrier_;
    std::shared_ptr<const detail::fiber_settings> settings_;  // null: the defaults
};

}  // namespace rung
