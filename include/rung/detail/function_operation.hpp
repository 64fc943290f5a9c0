#pragma once

#include <memory>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/engine.hpp>
#include <rung/detail/recycler.hpp>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// A submitted function as an operation.
template <class Function, class Allocator>
class function_operation final : public operation, public tracked_handler {
public:
    template <class F>
    function_operation(F&& f, const Allocator& a, level l)
        : operation(&function_operation::finish, l), function_(std::forward<F>(f)), allocator_(a) {}

private:
    static void finish(operation* base, action what) {
        auto* const self = static_cast<function_operation*>(base);
        BOOST_ASIO_HANDLER_COMPLETION((*self));
        const Allocator a(self->allocator_);
        Function f(std::move(self->function_));
        free_operation_node(self, a);
        if (what == action::complete) {
            BOOST_ASIO_HANDLER_INVOCATION_BEGIN(());
            std::move(f)();
            BOOST_ASIO_HANDLER_INVOCATION_END;
        }
    }

    Function function_;
    [[no_unique_address]] Allocator allocator_;
};

/// Builds one in memory of `allocator`, or recycled where that is the plain `std::allocator`.
template <class F, class Allocator>
operation* make_function_operation(F&& f, const Allocator& allocator, level l,
                                   [[maybe_unused]] scheduler& s) {
    const auto a = operation_allocator<Allocator>::from(allocator);
    using op = function_operation<std::decay_t<F>, std::remove_const_t<decltype(a)>>;
    op* const p = make_operation_node<op>(a, std::forward<F>(f), a, l);
    BOOST_ASIO_HANDLER_CREATION((engine::context_of(s), *p, "io_context", &s, 0, "execute"));
    return p;
}

}  // namespace rung::detail
