#pragma once

#include <optional>
#include <rung/detail/latest.hpp>
#include <rung/detail/operation_core.hpp>
#include <rung/detail/recycler.hpp>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace rung::detail {

/// Whether values of a type can be copied. Containers say so of themselves even where their
/// elements cannot, so we look inside.
template <class T>
inline constexpr bool can_copy = std::is_copy_constructible_v<T>;
template <class T>
requires requires { typename T::value_type; }
inline constexpr bool can_copy<T> =
    std::is_copy_constructible_v<T> &&
    (std::is_same_v<typename T::value_type, T> || can_copy<typename T::value_type>);
template <class... T>
inline constexpr bool can_copy<std::tuple<T...>> = (can_copy<T> && ...);
template <class... T>
inline constexpr bool can_copy<std::variant<T...>> = (can_copy<T> && ...);
template <class A, class B>
inline constexpr bool can_copy<std::pair<A, B>> = can_copy<A>&& can_copy<B>;

/// The value of an operation. Written by the producer before the end, read after it.
template <class T>
class value_cell {
public:
    template <class... Args>
    void emplace(Args&&... args) {
        value_.emplace(std::forward<Args>(args)...);
    }
    const T* peek() const noexcept { return value_ ? &*value_ : nullptr; }

    /// The value for one of those who want it. `last`: nobody else can ask any more.
    T give(bool last) {
        if constexpr (can_copy<T>) {
            if (!last) {
                return std::as_const(*value_);
            }
        }
        return std::move(*value_);
    }

private:
    std::optional<T> value_;
};

template <>
class value_cell<void> {
public:
    void emplace() noexcept {}
    void give(bool) noexcept {}
};

/// An operation's shared state with its value and its progress.
template <class T, class Progress>
class operation_storage : public operation_core {
public:
    using operation_core::operation_core;

    [[no_unique_address]] value_cell<T> value;
    [[no_unique_address]] latest<Progress> progress;
};

/// `Storage` in memory of an allocator.
template <class Storage, class Allocator>
class allocated_storage final : public Storage {
public:
    template <class... Args>
    explicit allocated_storage(const Allocator& a, operation_state initial, Args&&... args)
        : Storage(&allocated_storage::destroy, initial, std::forward<Args>(args)...),
          allocator_(a) {}

    template <class... Args>
    static allocated_storage* make(const Allocator& a, operation_state initial, Args&&... args) {
        return make_operation_node<allocated_storage>(a, a, initial, std::forward<Args>(args)...);
    }

private:
    static void destroy(operation_core* core) noexcept {
        auto* const self = static_cast<allocated_storage*>(core);
        const Allocator a(self->allocator_);
        free_operation_node(self, a);
    }

    [[no_unique_address]] Allocator allocator_;
};

}  // namespace rung::detail
