#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <concepts>
#include <functional>
#include <rung/cancel_scope.hpp>
#include <rung/use_operation.hpp>
#include <type_traits>
#include <utility>

namespace rung {

/// What a function that was offloaded sees of its operation.
///
/// It lives while the function runs. Thread-safety: the function's own thread.
template <class Progress = void>
class offload_handle {
public:
    /// Reports progress.
    template <class P = Progress>
    void set_progress(std::type_identity_t<P> p) requires(!std::is_void_v<P>) {
        set_(source_, std::move(p));
    }
    /// Whether the client has asked for the end. One load: look as often as you like.
    bool cancel_requested() const noexcept { return core_.cancel_requested(); }
    /// Throws what makes the operation cancelled, if that was asked for.
    void throw_if_cancelled() const {
        if (cancel_requested()) {
            throw boost::system::system_error(boost::asio::error::operation_aborted);
        }
    }
    /// Runs `f()` when the client asks for the end; as `operation_source::on_cancel`. That may be
    /// after the offloaded function has returned: for what refers to its variables there is
    /// `cancel_scope`.
    template <class F>
    void on_cancel(F&& f) {
        detail::set_cancel_function(core_, std::forward<F>(f));
    }

    /// Made by `offload` alone.
    template <class T>
    explicit offload_handle(operation_source<T, Progress>& s) noexcept
        : source_(&s), core_(*detail::operation_access::storage_of(s)) {
        if constexpr (!std::is_void_v<Progress>) {
            set_ = [](void* source, report&& p) {
                static_cast<operation_source<T, Progress>*>(source)->set_progress(std::move(p));
            };
        }
    }
    offload_handle(const offload_handle&) = delete;
    offload_handle& operator=(const offload_handle&) = delete;

private:
    friend class cancel_scope;
    struct nothing {};
    using report = std::conditional_t<std::is_void_v<Progress>, nothing, Progress>;
    using setter = std::conditional_t<std::is_void_v<Progress>, nothing, void (*)(void*, report&&)>;

    void* source_;
    detail::operation_core& core_;
    [[no_unique_address]] setter set_{};
};

namespace detail {

template <class F, class Progress>
struct offload_result {
    using type = std::decay_t<std::invoke_result_t<F&>>;
};
template <class F, class Progress>
requires std::invocable < F&, offload_handle<Progress>
& > struct offload_result<F, Progress> {
    using type = std::decay_t<std::invoke_result_t<F&, offload_handle<Progress>&>>;
};

/// A function on its way to another executor, with the operation that it will end.
template <class F, class T, class Progress>
struct offload_task {
    F function;
    operation_source<T, Progress> source;

    void operator()() {
        if (source.cancel_requested()) {
            source.set_cancelled();
            return;
        }
        source.set_running();
        try {
            if constexpr (std::is_void_v<T>) {
                call();
                source.set_done();
            } else {
                source.set_done(call());
            }
        } catch (...) {
            end_with_exception(source, std::current_exception());
        }
    }
    decltype(auto) call() {
        if constexpr (std::invocable<F&, offload_handle<Progress>&>) {
            offload_handle<Progress> handle(source);
            return std::invoke(function, handle);
        } else {
            return std::invoke(function);
        }
    }
};

}  // namespace detail

/// Runs `f()` or `f(offload_handle<Progress>&)` on an executor, of another context or a thread
/// pool, as an operation: pending until it begins, done with what it returns.
///
/// An exception fails the operation, that of `operation_aborted` cancels it. `cancel()` before the
/// function begins keeps it from running; after that it is for the function to look. If the
/// executor drops the function the operation fails with `error::abandoned`. Throws what
/// `asio::post` throws.
///
/// Example:
///
///     asio::thread_pool pool;
///     auto hash = rung::offload<double>(pool, [&](rung::offload_handle<double>& h) {
///         for (…) { h.throw_if_cancelled(); h.set_progress(done / total); … }
///         return digest;
///     });
///     hash.async_wait(asio::bind_executor(ctx, [](error_code ec, digest d) { … }));
template <class Progress = void, class Executor, class F>
requires(detail::standard_executor<Executor>) auto offload(const Executor& ex, F&& f) {
    using function = std::decay_t<F>;
    using value = typename detail::offload_result<function, Progress>::type;
    auto [source, op] = make_operation<value, Progress>();
    boost::asio::post(
        ex, detail::offload_task<function, value, Progress>{std::forward<F>(f), std::move(source)});
    return std::move(op);
}

/// Equivalent to `offload(ctx.get_executor(), f)`.
template <class Progress = void, std::derived_from<boost::asio::execution_context> Context, class F>
auto offload(Context& ctx, F&& f) {
    return offload<Progress>(ctx.get_executor(), std::forward<F>(f));
}

}  // namespace rung
