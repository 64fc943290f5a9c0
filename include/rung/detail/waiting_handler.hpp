#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/fiber_result.hpp>
#include <rung/detail/recycler.hpp>
#include <rung/detail/waiter.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// The value with which a handler is called, which adaptors may have put into a tuple with others.
template <class T, class... Args>
T& last_value(std::tuple<Args...>& arguments) noexcept {
    auto& last = std::get<sizeof...(Args) - 1>(arguments);
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(last)>, T>) {
        return last;
    } else {
        return last_value<T>(last);
    }
}

/// Has the place called `from` take back what a waiter of the kind `Base` was given.
template <class Base, class... Args>
void give_back(const place_name& from, [[maybe_unused]] std::tuple<Args...>& arguments) {
    if constexpr (requires { typename Base::value_type; }) {
        Base::give_back(from, last_value<typename Base::value_type>(arguments));
    } else {
        Base::give_back(from);
    }
}

/// A handler on its way through its executor, with what it is called with. If it is destroyed
/// there, what it was given goes back.
///
/// Its slot is cleared before the call: on the handler's executor, where requests come from.
template <class Base, class Handler, class... Args>
class handler_delivery {
public:
    handler_delivery(Handler&& h, std::tuple<Args...>&& arguments, const place_name& from)
        : handler(std::move(h)), arguments_(std::move(arguments)), from_(from) {}
    handler_delivery(handler_delivery&& other)
        : handler(std::move(other.handler)),
          arguments_(std::move(other.arguments_)),
          from_(std::exchange(other.from_, {})) {}
    handler_delivery& operator=(handler_delivery&&) = delete;
    ~handler_delivery() {
        if (from_) {
            give_back<Base>(from_, arguments_);
        }
    }

    void operator()() {
        from_ = {};
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.clear();
        }
        std::apply(std::move(handler), std::move(arguments_));
    }

    Handler handler;

private:
    std::tuple<Args...> arguments_;
    place_name from_;  // null if it was given nothing, or has it
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

    /// Prepares a wait in that place, which the handler's slot, if any, will end.
    void connect(waiting_place& place) {
        try {
            place.connect(this, boost::asio::get_associated_cancellation_slot(handler_));
        } catch (...) {
            const Handler h(std::move(handler_));
            free_operation_node(this, memory_of(h));
            throw;
        }
        if constexpr (is_fiber) {
            unadapted(handler_).result()->waits_as(this);
        }
    }

    /// Tells the fiber of a handler that is about to be called what it is given. False if it is
    /// gone.
    static bool was_served(Handler& h, const place_name& from) noexcept requires(is_fiber) {
        auto* const r = unadapted(h).result();
        if (r != nullptr) {
            r->was_served(from, &waiting_handler::give_back_of_fiber);
        }
        return r != nullptr;
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
        const place_name from = self->owed;
        [[maybe_unused]] const work_type work(std::move(self->work_));
        Handler h(std::move(self->handler_));
        free_operation_node(self, memory_of(h));
        if constexpr (is_fiber) {
            unadapted(h).call_later();
            if (!was_served(h, from) && from) {
                detail::give_back<Base>(from, result);
            }
            std::apply(std::move(h), std::move(result));
        } else {
            post_result(work.get_executor(), std::move(h), std::move(result), from);
        }
    }
    template <class... Args>
    static void post_result(const executor_type& ex, Handler&& h, std::tuple<Args...>&& result,
                            const place_name& from) {
        boost::asio::post(
            ex, handler_delivery<Base, Handler, Args...>(std::move(h), std::move(result), from));
    }
    static void give_back_of_fiber(served_wait& w, const place_name& from) {
        using result_type = typename unadapted_t<Handler>::result_type;
        detail::give_back<Base>(from, static_cast<result_type&>(w).arguments());
    }

    work_type work_;
    Handler handler_;
};

}  // namespace rung::detail

template <template <class, class> class Associator, class Base, class Handler, class... Args,
          class Default>
struct boost::asio::associator<Associator, rung::detail::handler_delivery<Base, Handler, Args...>,
                               Default> : Associator<Handler, Default> {
    using handler_delivery = rung::detail::handler_delivery<Base, Handler, Args...>;

    static decltype(auto) get(const handler_delivery& d) noexcept {
        return Associator<Handler, Default>::get(d.handler);
    }
    static decltype(auto) get(const handler_delivery& d, const Default& otherwise) noexcept {
        return Associator<Handler, Default>::get(d.handler, otherwise);
    }
};
