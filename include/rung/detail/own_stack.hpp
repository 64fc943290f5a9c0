#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <rung/detail/fiber_core.hpp>
#include <rung/stack_pool.hpp>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// A stack allocator as Boost.Context has them. What it gives has `sp`, the stack's upper end, and
/// `size`, which may count a guard page at the lower end.
template <class T>
concept stack_allocator = requires(T& a, decltype(std::declval<T&>().allocate())& context) {
    { context.sp } -> std::convertible_to<void*>;
    { context.size } -> std::convertible_to<std::size_t>;
    a.deallocate(context);
};

/// A stack that a program's own allocator made for one fiber. It describes itself: this lies at its
/// top, and below it the fiber's record. Linked: guarded by the lock of `own_stacks`.
class own_stack {
public:
    using deallocate_type = void (*)(own_stack*) noexcept;

    own_stack(const stack& whole, deallocate_type d) noexcept : memory_(whole), deallocate_(d) {}
    own_stack(const own_stack&) = delete;
    own_stack& operator=(const own_stack&) = delete;

    /// All of it, with this.
    const stack& memory() const noexcept { return memory_; }
    /// Gives the memory back, and ends this.
    void deallocate() noexcept { deallocate_(this); }

    /// Throws `system_error` where a stack is smaller than a fiber and its first calls need.
    static void check_size(std::size_t size);

protected:
    ~own_stack() = default;

private:
    friend class own_stacks;

    const stack memory_;
    const deallocate_type deallocate_;
    fiber* lives_ = nullptr;
    own_stack* next_ = nullptr;
    own_stack* previous_ = nullptr;
};

/// Settings of a fiber whose stack is of such an allocator.
template <stack_allocator Allocator>
class allocator_settings : public fiber_settings {
public:
    template <class A>
    requires(!std::same_as<std::remove_cvref_t<A>, allocator_settings>) explicit allocator_settings(
        A&& a)
        : allocator_(std::forward<A>(a)) {
        make_stack = &allocator_settings::make;
    }

private:
    using context_type = decltype(std::declval<Allocator&>().allocate());

    class placed final : public own_stack {
    public:
        placed(const stack& whole, Allocator&& a, const context_type& c)
            : own_stack(whole, &placed::destroy), allocator_(std::move(a)), context_(c) {}

    private:
        static void destroy(own_stack* base) noexcept {
            auto* const self = static_cast<placed*>(base);
            Allocator a(std::move(self->allocator_));
            context_type c(self->context_);
            self->~placed();
            a.deallocate(c);
        }

        [[no_unique_address]] Allocator allocator_;
        context_type context_;
    };

    /// The allocator goes to the stack that it makes, since the settings end before the fiber.
    static own_stack& make(const fiber_settings& base) {
        Allocator a(std::move(static_cast<const allocator_settings&>(base).allocator_));
        context_type c = a.allocate();
        char* const end = static_cast<char*>(static_cast<void*>(c.sp));
        const std::size_t size = c.size;
        try {
            own_stack::check_size(size);
            const auto address = reinterpret_cast<std::uintptr_t>(end);
            const std::size_t room = sizeof(placed) + (address - sizeof(placed)) % alignof(placed);
            return *::new (static_cast<void*>(end - room))
                placed({end - size, size}, std::move(a), c);
        } catch (...) {
            a.deallocate(c);
            throw;
        }
    }

    mutable Allocator allocator_;
};

}  // namespace rung::detail
