#pragma once

#include <rung/detail/operation_storage.hpp>
#include <rung/detail/watch_executor.hpp>
#include <utility>

namespace rung::detail {

/// A producer's function for the request to cancel.
///
/// It runs in the thread that asks, or on its associated executor if it has one; there it does not
/// run if the operation has ended by then, and its end waits for it as it does in the first case.
template <class F, class Allocator>
class cancel_function final : public cancel_hook {
    using place = watch_executor_of<F>;

public:
    cancel_function(operation_core& core, F&& f, const Allocator& a)
        : cancel_hook(&cancel_function::acted),
          core_(core),
          place_(boost::asio::get_associated_executor(f)),
          function_(std::move(f)),
          allocator_(a) {}

private:
    static void acted(cancel_hook* hook, action what) noexcept {
        auto* const self = static_cast<cancel_function*>(hook);
        const Allocator a(self->allocator_);
        F f(std::move(self->function_));
        operation_core& core = self->core_;
        [[maybe_unused]] place where(std::move(self->place_));
        free_operation_node(self, a);
        if (what == action::dispose) {
            return;
        }
        if constexpr (place::inline_only) {
            std::move(f)();
        } else {
            const auto memory = boost::asio::get_associated_allocator(f);
            auto later = [keep = core_ptr<operation_core>::share(&core),
                          number = core.hook_number(), f = std::move(f)]() mutable {
                hook_run run(*keep);
                if (run.begin_late(number)) {
                    std::move(f)();
                }
            };
            where.post(std::move(later), memory);
        }
    }

    operation_core& core_;
    [[no_unique_address]] place place_;
    F function_;
    [[no_unique_address]] Allocator allocator_;
};

/// Makes `f` the function that a request to cancel runs.
template <class F>
void set_cancel_function(operation_core& core, F&& f) {
    using function = std::decay_t<F>;
    const auto a = operation_allocator<boost::asio::associated_allocator_t<function>>::from(
        boost::asio::get_associated_allocator(f));
    using hook = cancel_function<function, std::remove_cvref_t<decltype(a)>>;
    core.set_hook(make_operation_node<hook>(a, core, function(std::forward<F>(f)), a));
}

}  // namespace rung::detail
