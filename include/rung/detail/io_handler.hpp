#pragma once

#include <rung/detail/completion.hpp>
#include <rung/detail/engine.hpp>
#include <rung/detail/immediate.hpp>
#include <rung/detail/recycler.hpp>
#include <rung/detail/slot_handler.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// An operation with its handler.
///
/// `Core` derives from an engine operation and knows what to ask for and how to read the answer: its
/// `take_result()` gives the handler's arguments as a tuple.
template <class Core, class Handler, class IoExecutor>
class handler_operation final : public Core, public tracked_handler {
    using work_type = handler_work_for<Handler, IoExecutor>;
    /// Whether `finish` may come from the initiating function, the engine knowing nothing of it.
    static constexpr bool may_be_at_once =
        std::is_base_of_v<io_operation, Core> && has_immediate_executor<Handler>;
    /// The I/O object's, kept for that case only.
    struct nothing {
        explicit nothing(const IoExecutor&) noexcept {}
    };
    using io_executor = std::conditional_t<may_be_at_once, IoExecutor, nothing>;

public:
    template <class... Args>
    handler_operation(Handler& handler, const IoExecutor& io_ex, Args&&... args)
        : Core(&handler_operation::finish, std::forward<Args>(args)...),
          work_(boost::asio::get_associated_executor(handler, io_ex), inner_executor(io_ex)),
          handler_(std::move(handler)),
          io_ex_(io_ex) {
        this->level_ = work_.queue_level();
        if constexpr (may_be_at_once) {
            this->may_be_immediate = true;
        }
    }

private:
    static void finish(operation* base, operation::action what) {
        auto* const self = static_cast<handler_operation*>(base);
        if constexpr (std::is_base_of_v<io_operation, Core>) {
            if (self->at == io_operation::state::ready && !engine::attempt(self, what)) {
                return;
            }
        }
        if (what == operation::action::complete && self->work_.send_home(self)) {
            return;
        }
        BOOST_ASIO_HANDLER_COMPLETION((*self));
        if (what == operation::action::destroy) {
            self->abandon();
            [[maybe_unused]] work_type work(std::move(self->work_));
            Handler handler(std::move(self->handler_));
            free_operation_node(self, memory_of(handler));
            return;
        }
        [[maybe_unused]] bool at_once = false;
        if constexpr (may_be_at_once) {
            at_once = self->at == io_operation::state::idle;
        }
        [[maybe_unused]] const io_executor io_ex(std::move(self->io_ex_));
        // The memory goes back before the upcall, so that the handler's next operation finds it.
        auto result = self->take_result();
        work_type work(std::move(self->work_));
        Handler handler(std::move(self->handler_));
        free_operation_node(self, memory_of(handler));
        BOOST_ASIO_HANDLER_INVOCATION_BEGIN((std::get<0>(result)));
        std::apply(
            [&](auto&&... args) {
                if constexpr (may_be_at_once) {
                    if (at_once) {
                        complete_at_once(handler, io_ex, std::move(args)...);
                        return;
                    }
                }
                work.complete(handler, std::move(args)...);
            },
            std::move(result));
        BOOST_ASIO_HANDLER_INVOCATION_END;
    }

public:
    static auto memory_of(const Handler& handler) noexcept {
        const auto a = boost::asio::get_associated_allocator(handler);
        return operation_allocator<std::remove_const_t<decltype(a)>>::from(a);
    }

private:
    work_type work_;
    Handler handler_;
    [[no_unique_address]] io_executor io_ex_;
};

/// Builds the operation of `Core` for `handler`, which it moves from.
template <class Core, class Handler, class IoExecutor, class... Args>
auto* make_handler_operation(Handler& handler, const IoExecutor& io_ex, Args&&... args) {
    using op = handler_operation<Core, Handler, IoExecutor>;
    return make_operation_node<op>(op::memory_of(handler), handler, io_ex,
                                   std::forward<Args>(args)...);
}

}  // namespace rung::detail
