#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/completion.hpp>
#include <rung/detail/fiber_core.hpp>
#include <rung/detail/recycler.hpp>
#include <rung/detail/waiter.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// Clears its handler's slot before the call: on the handler's executor, where requests come from.
template <class Handler>
struct slot_clearing_handler {
    Handler handler;

    template <class... Args>
    void operator()(Args&&... args) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.clear();
        }
        std::move(handler)(std::forward<Args>(args)...);
    }
};

/// A completion handler that waits. `Base` is a waiter, and tells what it is called with.
template <class Base, class Handler>
class waiting_handler final : public Base {
    using executor_type = boost::asio::associated_executor_t<Handler, carrier_executor>;

public:
    /// Whether a fiber waits for what the handler is called with: it may be called at once.
    static constexpr bool is_fiber = std::is_base_of_v<fiber_handler_base, unadapted_t<Handler>>;

    template <class... Args>
    waiting_handler(Handler&& h, const carrier_executor& ex, Args&&... args)
        : Base(&waiting_handler::end, std::forward<Args>(args)...),
          work_(boost::asio::get_associated_executor(h, ex)),
          handler_(std::move(h)) {}

    template <class... Args>
    static waiting_handler* make(Handler h, const carrier_executor& ex, Args&&... args) {
        return make_operation_node<waiting_handler>(memory_of(h), std::move(h), ex,
                                                    std::forward<Args>(args)...);
    }

    /// Has the handler's slot, if any, end the wait in that place.
    void connect(waiting_place& place) {
        place.connect(this, boost::asio::get_associated_cancellation_slot(handler_));
    }

private:
    struct no_work {
        explicit no_work(const executor_type&) noexcept {}
    };
    // A fiber is work itself while it waits.
    using work_type =
        std::conditional_t<is_fiber, no_work, boost::asio::executor_work_guard<executor_type>>;

    static auto memory_of(const Handler& h) noexcept {
        const auto a = boost::asio::get_associated_allocator(h);
        return operation_allocator<std::remove_const_t<decltype(a)>>::from(a);
    }
    static void end(waiter* base) {
        auto* const self = static_cast<waiting_handler*>(base);
        auto result = self->take_result();
        [[maybe_unused]] const work_type work(std::move(self->work_));
        Handler h(std::move(self->handler_));
        free_operation_node(self, memory_of(h));
        if constexpr (is_fiber) {
            unadapted(h).call_later();
            std::apply(std::move(h), std::move(result));
        } else {
            post_result(work.get_executor(), std::move(h), std::move(result));
        }
    }
    template <class... Args>
    static void post_result(const executor_type& ex, Handler&& h, std::tuple<Args...>&& result) {
        using last_step = slot_clearing_handler<Handler>;
        boost::asio::post(
            ex, bound_handler<last_step, Args...>{last_step{std::move(h)}, std::move(result)});
    }

    work_type work_;
    Handler handler_;
};

}  // namespace rung::detail

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, rung::detail::slot_clearing_handler<Handler>, Default>
    : Associator<Handler, Default> {
    static decltype(auto) get(const rung::detail::slot_clearing_handler<Handler>& h) noexcept {
        return Associator<Handler, Default>::get(h.handler);
    }
    static decltype(auto) get(const rung::detail::slot_clearing_handler<Handler>& h,
                              const Default& d) noexcept {
        return Associator<Handler, Default>::get(h.handler, d);
    }
};
