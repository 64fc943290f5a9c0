#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <concepts>
#include <cstddef>
#include <memory>
#include <rung/detail/fiber_task.hpp>
#include <rung/detail/own_stack.hpp>
#include <rung/fiber_executor.hpp>
#include <rung/fiber_local.hpp>
#include <rung/fiber_options.hpp>
#include <rung/stack_pool.hpp>
#include <rung/this_fiber.hpp>
#include <rung/use_fiber.hpp>
#include <type_traits>
#include <utility>

namespace rung {

namespace detail {

template <class T>
concept any_executor =
    boost::asio::execution::is_executor<T>::value || boost::asio::is_executor<T>::value;
template <class T>
concept any_context = std::is_convertible_v<T&, boost::asio::execution_context&>;

/// The executor below the fibers.
inline carrier_executor carrier_of(const fiber_executor& ex) { return ex.carrier(); }
template <any_executor Executor>
carrier_executor carrier_of(const Executor& ex) {
    return carrier_executor(ex);
}
/// How it makes its fibers.
inline const auto& settings_of(const fiber_executor& ex) { return ex.settings(); }
template <any_executor Executor>
default_settings settings_of(const Executor&) {
    return {};
}

}  // namespace detail

/// Runs a function in a fiber of its own.
///
/// The fiber starts from the executor's queue, never within this call, at the executor's priority,
/// and stays on the thread on which it starts for as long as that runs the context; on an executor
/// that is not a `rung::executor` it goes on wherever that runs it. While it waits it counts as
/// work of its context. Completion: when the function has ended. Signature:
/// `void(std::exception_ptr)` or, if the function returns a `T`, `void(std::exception_ptr, T)` with
/// a default-constructible `T`; what the function throws is the first argument. Cancellation: every
/// type of request in the token's slot is remembered (`this_fiber::cancelled`) and passed on to the
/// operation for which the fiber waits. Emit on the fiber's executor. Errors: where there is no
/// stack for it (see `stack_pool::allocate`), that is the exception. Thread-safety: safe. Throws
/// `std::bad_alloc` if there is no memory for the function. The context's end unwinds the stacks of
/// fibers that have not ended; see `use_fiber`.
///
/// Example:
///
///     rung::spawn(ctx, [&] { serve(socket); });                     // and forget it
///     int n = rung::spawn(ctx, [] { return 7; }, rung::use_fiber);  // from a fiber, that waits
template <detail::any_executor Executor, std::invocable F, class Token = boost::asio::detached_t>
auto spawn(const Executor& ex, F&& f, Token&& token = Token()) {
    return detail::spawn_fiber(detail::carrier_of(ex), detail::settings_of(ex), std::forward<F>(f),
                               token);
}

/// The same with options, which take the place of those that a `fiber_executor` has.
template <detail::any_executor Executor, std::invocable F, class Token = boost::asio::detached_t>
auto spawn(const Executor& ex, const fiber_options& options, F&& f, Token&& token = Token()) {
    return detail::spawn_fiber(detail::carrier_of(ex), detail::settings_of(options),
                               std::forward<F>(f), token);
}

/// The same on a stack of its own, of a Boost.Context stack allocator, as `asio::spawn` takes one.
///
/// The fiber's thread calls `allocate()` when the fiber starts, and `deallocate()` when it has ended,
/// with nothing left on the stack; the allocator itself lies on the stack in between. Such a stack is
/// of no pool: it is in no `stack_statistics`, under no limit, and not used again. Errors: what
/// `allocate()` throws, and `errc::argument_out_of_domain` for less than 4 KiB, is the completion's
/// exception. Segmented stacks are not supported.
///
/// Example:
///
///     rung::spawn(ctx, std::allocator_arg, boost::context::protected_fixedsize_stack(1 << 20), f);
template <detail::any_executor Executor, class StackAllocator, std::invocable F,
          class Token = boost::asio::detached_t>
requires detail::stack_allocator<std::remove_cvref_t<StackAllocator>>
auto spawn(const Executor& ex, std::allocator_arg_t, StackAllocator&& allocator, F&& f,
           Token&& token = Token()) {
    using settings = detail::allocator_settings<std::remove_cvref_t<StackAllocator>>;
    return detail::spawn_fiber(detail::carrier_of(ex),
                               settings(std::forward<StackAllocator>(allocator)),
                               std::forward<F>(f), token);
}

/// Equivalent to the same with the context's executor.
template <detail::any_context Context, std::invocable F, class Token = boost::asio::detached_t>
auto spawn(Context& context, F&& f, Token&& token = Token()) {
    return spawn(context.get_executor(), std::forward<F>(f), std::forward<Token>(token));
}
template <detail::any_context Context, std::invocable F, class Token = boost::asio::detached_t>
auto spawn(Context& context, const fiber_options& options, F&& f, Token&& token = Token()) {
    return spawn(context.get_executor(), options, std::forward<F>(f), std::forward<Token>(token));
}
template <detail::any_context Context, class StackAllocator, std::invocable F,
          class Token = boost::asio::detached_t>
requires detail::stack_allocator<std::remove_cvref_t<StackAllocator>>
auto spawn(Context& context, std::allocator_arg_t, StackAllocator&& allocator, F&& f,
           Token&& token = Token()) {
    return spawn(context.get_executor(), std::allocator_arg,
                 std::forward<StackAllocator>(allocator), std::forward<F>(f),
                 std::forward<Token>(token));
}

}  // namespace rung
