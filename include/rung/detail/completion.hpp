#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/prefer.hpp>
#include <concepts>
#include <memory>
#include <rung/detail/engine.hpp>
#include <rung/executor.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// A handler with its arguments, as a function without any.
template <class Handler, class... Args>
struct bound_handler {
    Handler handler;
    std::tuple<Args...> args;

    void operator()() { std::apply(std::move(handler), std::move(args)); }
};

/// An executor that may hold a `rung::executor`, and tells: a fiber's.
template <class Executor>
concept may_hold_executor = requires(const Executor& ex) {
    { ex.native() } -> std::same_as<const executor*>;
};

/// Where a handler runs, and the work that it keeps there until then.
///
/// `Executor` is the handler's associated executor. Where it is a `rung::executor` of the engine that
/// completes the operation, the handler runs straight from that loop and nothing is stored; so too
/// behind an `any_io_executor` and in a fiber. Otherwise the handler goes through its executor.
template <class Executor>
class handler_work {
    static constexpr bool is_ours = std::is_base_of_v<executor, Executor>;
    static constexpr bool is_any = std::is_same_v<Executor, boost::asio::any_io_executor>;
    static constexpr bool is_fibers = may_hold_executor<Executor>;
    static constexpr bool may_be_ours = is_ours || is_any || is_fibers;
    static constexpr bool is_standard = boost::asio::execution::is_executor<Executor>::value;

public:
    handler_work(const Executor& ex, const executor& io_ex)
        : level_(executor_access::level_of(io_ex)), work_(needed_work(ex, io_ex, level_)) {}

    /// At which the completion waits in the run queue.
    level queue_level() const noexcept { return level_; }

    /// Has a fiber's operation complete on the thread that started it, as those of a composed
    /// operation do one after the other: a deadline comes there, and must not meet them elsewhere. To
    /// be called from the loop. False if that is this thread, or has left the loop.
    bool send_home([[maybe_unused]] operation* op) const noexcept {
        if constexpr (is_fibers) {
            return home_.thread != &this_thread_state && runs_in_loop() &&
                   engine::post_to_thread(*this_thread_state->running, op, home_.thread);
        }
        return false;
    }

    /// Runs the handler. To be called from the loop, with nothing left of the operation.
    template <class Handler, class... Args>
    void complete(Handler& handler, Args&&... args) {
        if (runs_in_loop()) {
            std::move(handler)(std::forward<Args>(args)...);
        } else if constexpr (is_fibers) {
            submit(*work_, handler, std::forward<Args>(args)...);
        } else {
            submit(work_, handler, std::forward<Args>(args)...);
        }
    }

private:
    static const executor* target(const Executor& ex) noexcept {
        if constexpr (is_ours) {
            return &ex;
        } else if constexpr (is_fibers) {
            return ex.native();
        } else {
            return ex.template target<executor>();
        }
    }
    static auto make_work(const Executor& ex) {
        if constexpr (is_standard) {
            return boost::asio::prefer(ex, boost::asio::execution::outstanding_work.tracked);
        } else {
            return boost::asio::executor_work_guard<Executor>(ex);
        }
    }

    using work = decltype(make_work(std::declval<const Executor&>()));
    // A fiber's is large, and all but never needed. Of the others, those that may be ours have a
    // value that stands for none.
    using stored_work = std::conditional_t<is_fibers, std::unique_ptr<work>, work>;

    /// Whether the handler runs straight from the loop.
    bool runs_in_loop() const noexcept {
        if constexpr (is_ours) {
            return executor_access::is_none(work_);
        } else if constexpr (is_any || is_fibers) {
            return !work_;
        } else {
            return false;
        }
    }

    static stored_work needed_work(const Executor& ex, const executor& io_ex, level& l) {
        if constexpr (may_be_ours) {
            const executor* const inside = target(ex);
            if (inside != nullptr &&
                &executor_access::engine_of(*inside) == &executor_access::engine_of(io_ex)) {
                l = executor_access::level_of(*inside);
                if constexpr (is_ours) {
                    return executor_access::none();
                } else {
                    return {};
                }
            }
        }
        if constexpr (is_fibers) {
            return std::make_unique<work>(make_work(ex));
        } else {
            return make_work(ex);
        }
    }

    template <class Handler, class... Args>
    static void submit(work& w, Handler& handler, Args&&... args) {
        const auto a = boost::asio::get_associated_allocator(handler);
        bound_handler<Handler, std::decay_t<Args>...> bound{std::move(handler),
                                                            {std::forward<Args>(args)...}};
        if constexpr (is_standard) {
            boost::asio::prefer(w, boost::asio::execution::blocking.possibly,
                                boost::asio::execution::allocator(a))
                .execute(std::move(bound));
        } else {
            w.get_executor().dispatch(std::move(bound), a);
        }
    }

    struct home {
        const void* thread = &this_thread_state;
    };
    struct anywhere {};

    level level_;
    [[no_unique_address]] std::conditional_t<is_fibers, home, anywhere> home_;
    stored_work work_;
};

template <class Handler, class IoExecutor>
using handler_work_for =
    handler_work<std::decay_t<boost::asio::associated_executor_t<Handler, IoExecutor>>>;

}  // namespace rung::detail

template <template <class, class> class Associator, class Handler, class... Args, class Default>
struct boost::asio::associator<Associator, rung::detail::bound_handler<Handler, Args...>, Default>
    : Associator<Handler, Default> {
    static decltype(auto) get(const rung::detail::bound_handler<Handler, Args...>& b) noexcept {
        return Associator<Handler, Default>::get(b.handler);
    }
    static decltype(auto) get(const rung::detail::bound_handler<Handler, Args...>& b,
                              const Default& d) noexcept {
        return Associator<Handler, Default>::get(b.handler, d);
    }
};
