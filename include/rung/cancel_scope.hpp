#pragma once

#include <rung/operation.hpp>
#include <utility>

namespace rung {

template <class Progress>
class offload_handle;

/// A function for the request to cancel, for as long as a scope lasts, so that it may refer to the
/// scope's variables.
///
/// As `on_cancel`, which it replaces; but its destructor takes the function back, and waits for a
/// call that is under way in another thread. The function runs in the thread that asks.
/// Preconditions: the function is bound to no executor, on which it could come too late; the source
/// is not empty when the scope begins. The operation may end before the scope.
///
/// Example:
///
///     auto reading = rung::offload(pool, [fd](rung::offload_handle<>& handle) {
///         interruptible_reader reader(fd);
///         rung::cancel_scope scope(handle, [&] { reader.interrupt(); });
///         return reader.read_all();
///     });
class cancel_scope {
public:
    template <class T, class Progress, class F>
    cancel_scope(operation_source<T, Progress>& source, F&& f)
        : cancel_scope(*detail::operation_access::storage_of(source), std::forward<F>(f)) {}
    template <class Progress, class F>
    cancel_scope(offload_handle<Progress>& handle, F&& f)
        : cancel_scope(handle.core_, std::forward<F>(f)) {}
    ~cancel_scope() { core_->drop_hook(); }
    cancel_scope(const cancel_scope&) = delete;
    cancel_scope& operator=(const cancel_scope&) = delete;

private:
    template <class F>
    cancel_scope(detail::operation_core& core, F&& f)
        : core_(detail::core_ptr<detail::operation_core>::share(&core)) {
        static_assert(detail::watch_executor_of<std::decay_t<F>>::inline_only,
                      "on an executor the function could run after the scope");
        detail::set_cancel_function(core, std::forward<F>(f));
    }

    const detail::core_ptr<detail::operation_core> core_;
};

}  // namespace rung
