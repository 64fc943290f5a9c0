#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <concepts>
#include <cstdint>
#include <mutex>
#include <rung/detail/completion.hpp>
#include <rung/detail/fiber_core.hpp>
#include <rung/detail/recycler.hpp>
#include <semaphore>
#include <type_traits>
#include <utility>

namespace rung::detail {

class wait_list;

/// The executor of a synchronisation object: a context's, or any.
class wait_executor {
public:
    template <class Context>
    requires std::is_convertible_v<Context&, boost::asio::execution_context&>
    explicit wait_executor(Context& context) : executor_(context.get_executor()) {}
    template <class Executor>
    requires boost::asio::execution::is_executor<Executor>::value
    explicit wait_executor(const Executor& ex) : executor_(ex) {}

    const carrier_executor& get() const noexcept { return executor_; }

private:
    carrier_executor executor_;
};

/// Something that waits in a `wait_list`.
class waiter {
public:
    using error_code = boost::system::error_code;

    /// Ends the wait, outside of any list. The waiter is gone then.
    void finish() { finish_(this); }

    error_code error;             // with which it ends
    std::uint64_t key = 0;        // what requests to cancel it go by
    wait_list* after = nullptr;   // in which it has to wait next before it may end

protected:
    explicit waiter(void (*f)(waiter*)) noexcept : finish_(f) {}
    ~waiter() = default;

private:
    friend class wait_list;
    void (*finish_)(waiter*);
    waiter* next_ = nullptr;
    waiter* previous_ = nullptr;
};

/// What synchronisation objects are made of: a number of units to take, and those who wait for one,
/// first come, first served. Thread-safe.
class wait_list {
public:
    static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

    explicit wait_list(std::uint64_t units) noexcept : units_(units) {}
    ~wait_list() { cancel(); }
    wait_list(const wait_list&) = delete;
    wait_list& operator=(const wait_list&) = delete;

    /// Takes a unit if there is one. With `unlimited` units none is used up.
    bool try_take() noexcept;
    /// Ends the waiter once it has a unit, which may be at once.
    void take(waiter* w);
    /// Adds units. Those who have waited longest get them.
    void give(std::uint64_t n);
    /// Lets at most that many waiters go without a unit. Gives their number.
    std::uint64_t let_go(std::uint64_t n);
    /// Changes the number of units; `unlimited` lets everybody go.
    void set(std::uint64_t units);
    std::uint64_t units() const noexcept;
    /// Adds a waiter that takes no unit but those it finds given later.
    void wait(waiter* w) noexcept;
    /// A number for a waiter. Requests may come when that is long gone.
    std::uint64_t new_key() noexcept;
    /// Ends one wait, or all, with `operation_aborted`.
    void cancel(std::uint64_t key);
    void cancel();
    /// Waits on this thread, or in this fiber. Precondition: in no handler of a loop that the unit
    /// comes from.
    void take_blocking();

private:
    void push(waiter* w) noexcept;
    void remove(waiter* w) noexcept;
    waiter* detach(std::uint64_t n, bool with_units) noexcept;
    static std::uint64_t finish_all(waiter* first);

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::uint64_t units_;
    std::uint64_t last_key_ = 0;
    waiter* first_ = nullptr;
    waiter* last_ = nullptr;
};

/// A thread that waits.
class blocked_thread final : public waiter {
public:
    blocked_thread() noexcept
        : waiter([](waiter* w) { static_cast<blocked_thread*>(w)->ended_.release(); }) {}
    void block() { ended_.acquire(); }

private:
    std::binary_semaphore ended_{0};
};

/// Clears its handler's slot before the call: on the handler's executor, where requests come from.
template <class Handler>
struct slot_clearing_handler {
    Handler handler;

    void operator()(const boost::system::error_code& ec) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.clear();
        }
        std::move(handler)(ec);
    }
};

/// A completion handler of `void(error_code)` that waits.
template <class Handler>
class handler_waiter final : public waiter {
    using executor_type = boost::asio::associated_executor_t<Handler, carrier_executor>;
    static constexpr bool is_fiber = std::is_base_of_v<fiber_handler_base, Handler>;
    struct no_work {
        explicit no_work(const executor_type&) noexcept {}
    };
    // A fiber is work itself while it waits.
    using work_type = std::conditional_t<is_fiber, no_work,
                                         boost::asio::executor_work_guard<executor_type>>;

public:
    handler_waiter(Handler&& h, const carrier_executor& ex)
        : waiter(&handler_waiter::end),
          work_(boost::asio::get_associated_executor(h, ex)),
          handler_(std::move(h)) {}

    static handler_waiter* make(Handler h, const carrier_executor& ex) {
        return make_operation_node<handler_waiter>(memory_of(h), std::move(h), ex);
    }

    /// Has the handler's slot, if any, end the wait in whichever list.
    void connect(wait_list& list) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler_);
        if (slot.is_connected()) {
            key = list.new_key();
            slot.assign([k = key, &list](boost::asio::cancellation_type_t) { list.cancel(k); });
        }
    }

private:
    static auto memory_of(const Handler& h) noexcept {
        const auto a = boost::asio::get_associated_allocator(h);
        return operation_allocator<std::remove_const_t<decltype(a)>>::from(a);
    }
    static void end(waiter* base) {
        auto* const self = static_cast<handler_waiter*>(base);
        const error_code ec = self->error;
        [[maybe_unused]] const work_type work(std::move(self->work_));
        Handler h(std::move(self->handler_));
        free_operation_node(self, memory_of(h));
        if constexpr (is_fiber) {
            h.finish_later(ec);
        } else {
            using last_step = slot_clearing_handler<Handler>;
            boost::asio::post(work.get_executor(),
                              bound_handler<last_step, error_code>{last_step{std::move(h)}, {ec}});
        }
    }

    work_type work_;
    Handler handler_;
};

/// Starts an operation that takes a unit. A fiber that finds one does not wait.
template <class Token>
auto async_take(wait_list& list, const carrier_executor& ex, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        [](auto handler, wait_list* l, const carrier_executor& c) {
            using handler_type = decltype(handler);
            if constexpr (std::is_base_of_v<fiber_handler_base, handler_type>) {
                if (l->try_take()) {
                    std::move(handler)(boost::system::error_code());
                    return;
                }
            }
            auto* const w = handler_waiter<handler_type>::make(std::move(handler), c);
            w->connect(*l);
            l->take(w);
        },
        token, &list, ex);
}

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
