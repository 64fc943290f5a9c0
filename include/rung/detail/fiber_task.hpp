#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/system_executor.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <rung/detail/completion.hpp>
#include <rung/detail/fiber_core.hpp>
#include <rung/detail/recycler.hpp>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// A function submitted to a `fiber_executor`.
template <class Function, class Allocator>
class function_task final : public fiber_task {
public:
    template <class F>
    function_task(const carrier_executor& c, std::shared_ptr<const fiber_settings> s, F&& f,
                  const Allocator& a)
        : fiber_task(&function_task::body, c),
          settings_(std::move(s)),
          function_(std::forward<F>(f)),
          allocator_(a) {
        settings = settings_.get();
    }

private:
    static void body(fiber_task* base, step what, const std::exception_ptr* error) {
        auto* const self = static_cast<function_task*>(base);
        const Allocator a(self->allocator_);
        Function f(std::move(self->function_));
        free_operation_node(self, a);
        if (what == step::run) {
            std::move(f)();
        } else if (what == step::fail) {
            std::rethrow_exception(*error);
        }
    }

    std::shared_ptr<const fiber_settings> settings_;
    Function function_;
    [[no_unique_address]] Allocator allocator_;
};

template <class F, class Allocator>
fiber_task* make_function_task(const carrier_executor& c, std::shared_ptr<const fiber_settings> s,
                               F&& f, const Allocator& own) {
    const auto a = operation_allocator<Allocator>::from(own);
    using task = function_task<std::decay_t<F>, std::remove_const_t<decltype(a)>>;
    return make_operation_node<task>(a, c, std::move(s), std::forward<F>(f), a);
}

/// A completion handler that waits for a fiber's end, and the work that it keeps meanwhile.
template <class Handler>
class fiber_completion {
    using executor_type = boost::asio::associated_executor_t<Handler, carrier_executor>;
    using other_type = boost::asio::associated_executor_t<Handler, boost::asio::system_executor>;
    static constexpr bool may_be_carrier = std::is_same_v<executor_type, carrier_executor>;
    // Whatever executor is offered, the handler has no other.
    static constexpr bool is_carrier =
        may_be_carrier && std::is_same_v<other_type, boost::asio::system_executor>;
    struct no_work {};
    using work_type =
        std::conditional_t<is_carrier, no_work,
                           std::optional<boost::asio::executor_work_guard<executor_type>>>;

public:
    /// Whether requests for the fiber's end may come through the handler's slot.
    static constexpr bool may_be_cancelled =
        !std::is_same_v<boost::asio::associated_cancellation_slot_t<Handler, std::nullptr_t>,
                        std::nullptr_t>;

    template <class H>
    fiber_completion(H&& h, [[maybe_unused]] const carrier_executor& c)
        : handler_(std::forward<H>(h)) {
        if constexpr (!is_carrier) {
            auto ex = boost::asio::get_associated_executor(handler_, c);
            if constexpr (may_be_carrier) {
                if (ex == c) {
                    return;
                }
            }
            work_.emplace(std::move(ex));
        }
    }

    auto memory() const noexcept {
        const auto a = boost::asio::get_associated_allocator(handler_);
        return operation_allocator<std::remove_const_t<decltype(a)>>::from(a);
    }
    auto slot() const noexcept { return boost::asio::get_associated_cancellation_slot(handler_); }

    template <class... Args>
    void operator()(Args... args) {
        if constexpr (is_carrier) {
            std::move(handler_)(std::move(args)...);
        } else if (!work_) {
            std::move(handler_)(std::move(args)...);
        } else {
            const auto ex = work_->get_executor();
            boost::asio::dispatch(
                ex, bound_handler<Handler, Args...>{std::move(handler_), {std::move(args)...}});
            work_.reset();
        }
    }

private:
    [[no_unique_address]] Handler handler_;
    // None where the handler runs on the fiber's own executor, of which the fiber is work.
    [[no_unique_address]] work_type work_;
};

/// What a function that is spawned without options has in place of settings. It spares each task a
/// cache line.
struct default_settings {};

// Settings as a task keeps them.
inline const fiber_settings* settings_in(default_settings) noexcept { return nullptr; }
inline const fiber_settings* settings_in(const fiber_settings& s) noexcept { return &s; }
inline const fiber_settings* settings_in(const std::shared_ptr<const fiber_settings>& s) noexcept {
    return s.get();
}

/// A spawned function with its completion.
template <class Function, class Handler, class Settings>
class spawn_task final : public fiber_task {
    using result = std::invoke_result_t<Function>;
    using completion_type = fiber_completion<Handler>;

public:
    template <class S, class F>
    spawn_task(const carrier_executor& c, S&& s, F&& f, completion_type&& h)
        : fiber_task(&spawn_task::body, c),
          settings_(std::forward<S>(s)),
          function_(std::forward<F>(f)),
          completion_(std::move(h)) {
        settings = settings_in(settings_);
        if constexpr (completion_type::may_be_cancelled) {
            listen();
        }
    }

private:
    void listen() {
        auto slot = completion_.slot();
        if (slot.is_connected()) {
            auto c = std::make_unique<fiber_cancellation>();
            cancellation = c.get();
            slot.assign([c = c.get()](boost::asio::cancellation_type_t type) {
                c->requested = c->requested | type;
                c->signal.emit(type);
            });
            c.release();  // body() owns it now
        }
    }

    static void body(fiber_task* base, step what, const std::exception_ptr* error) {
        auto* const self = static_cast<spawn_task*>(base);
        const std::unique_ptr<fiber_cancellation> cancel(self->cancellation);
        fiber_completion<Handler> completion(std::move(self->completion_));
        Function f(std::move(self->function_));
        free_operation_node(self, completion.memory());
        if (what == step::run) {
            run(f, completion, cancel.get());
        } else {
            completion.slot().clear();
            if (what == step::fail) {
                complete(completion, *error);
            }
        }
    }

    /// Without a catch (...) around what forced_unwind passes through.
    static void run(Function& f, fiber_completion<Handler>& completion,
                    const fiber_cancellation* cancel) {
        const slot_guard guard{completion, cancel};
        std::exception_ptr error;
        if constexpr (std::is_void_v<result>) {
            try {
                std::move(f)();
            } catch (const forced_unwind&) {
                throw;
            } catch (...) {
                error = std::current_exception();
            }
            end(guard);
            completion(std::move(error));
        } else {
            std::optional<std::decay_t<result>> value;
            try {
                value.emplace(std::move(f)());
            } catch (const forced_unwind&) {
                throw;
            } catch (...) {
                error = std::current_exception();
            }
            end(guard);
            if (error != nullptr) {
                complete(completion, error);
            } else {
                completion(std::exception_ptr(), std::move(*value));
            }
        }
    }

    /// The slot must forget the fiber before that is gone, however it ends.
    struct slot_guard {
        fiber_completion<Handler>& completion;
        const fiber_cancellation* cancel;
        void clear() const {
            if (cancel != nullptr) {
                completion.slot().clear();
            }
        }
        ~slot_guard() { clear(); }
    };
    static void end(const slot_guard& guard) {
        guard.clear();
        end_of_fiber_function();
    }

    static void complete(fiber_completion<Handler>& completion, const std::exception_ptr& error) {
        if constexpr (std::is_void_v<result>) {
            completion(error);
        } else {
            completion(error, std::decay_t<result>());
        }
    }

    [[no_unique_address]] Settings settings_;
    [[no_unique_address]] Function function_;
    [[no_unique_address]] completion_type completion_;
};

template <class Result>
struct spawn_signature {
    using type = void(std::exception_ptr, std::decay_t<Result>);
};
template <>
struct spawn_signature<void> {
    using type = void(std::exception_ptr);
};

template <class Settings, class F, class Token>
auto spawn_fiber(const carrier_executor& carrier, Settings&& settings, F&& f, Token& token) {
    using function = std::decay_t<F>;
    using signature = typename spawn_signature<std::invoke_result_t<function>>::type;
    return boost::asio::async_initiate<Token, signature>(
        [](auto&& handler, const carrier_executor& c, auto&& s, auto&& own) {
            using handler_type = std::decay_t<decltype(handler)>;
            fiber_completion<handler_type> completion(std::forward<decltype(handler)>(handler), c);
            const auto memory = completion.memory();
            using task = spawn_task<function, handler_type, std::decay_t<decltype(s)>>;
            post_fiber(make_operation_node<task>(memory, c, std::forward<decltype(s)>(s),
                                                 std::forward<decltype(own)>(own),
                                                 std::move(completion)));
        },
        token, carrier, std::forward<Settings>(settings), std::forward<F>(f));
}

}  // namespace rung::detail
