#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/dispatch.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// What `wrap` of a context or a strand makes of a handler: one that may be called anywhere, and
/// dispatches itself to the executor. An operation that it is for runs its intermediate steps there,
/// too.
template <class Executor, class Handler>
class wrapped_handler {
public:
    using result_type = void;
    using executor_type = Executor;
    using allocator_type = boost::asio::associated_allocator_t<Handler>;

    wrapped_handler(const Executor& ex, Handler&& h)
        : executor_(ex), handler_(std::forward<Handler>(h)) {}

    executor_type get_executor() const noexcept { return executor_; }
    allocator_type get_allocator() const noexcept {
        return boost::asio::get_associated_allocator(handler_);
    }

    /// Gives the handler away, as Asio's does: it is to be called once.
    template <class... Args>
    void operator()(Args&&... args) {
        dispatch(std::move(handler_), std::forward<Args>(args)...);
    }
    template <class... Args>
    void operator()(Args&&... args) const {
        dispatch(Handler(handler_), std::forward<Args>(args)...);
    }

private:
    template <class... Args>
    void dispatch(Handler&& h, Args&&... args) const {
        boost::asio::dispatch(executor_,
                              [own = std::move(h), arguments = std::tuple<std::decay_t<Args>...>(
                                                       std::forward<Args>(args)...)]() mutable {
                                  std::apply(std::move(own), std::move(arguments));
                              });
    }

    Executor executor_;
    Handler handler_;
};

}  // namespace rung::detail
