#pragma once

#include <rung/detail/join.hpp>

namespace rung {

namespace detail {

/// `std::tuple` of the values of a pack; void where none of them has one.
template <class... T>
using all_of_pack =
    std::conditional_t<(std::is_void_v<T> && ...), void, std::tuple<joined_value<T>...>>;

/// `std::vector` of the values of a range; void where they have none.
template <class T>
struct all_of_range {
    using type = std::vector<T>;
};
template <>
struct all_of_range<void> {
    using type = void;
};

template <class T, class Operations>
class all_storage : public join_storage<T, Operations> {
public:
    all_storage(operation_core::destroy_function d, operation_state s, Operations&& ops)
        : join_storage<T, Operations>(d, s, join::rule::all, std::move(ops)) {}
    void run() { this->start(); }

private:
    void emplace_value() final {
        if constexpr (!std::is_void_v<T>) {
            take(this->operations_);
        }
    }
    template <class... Ops>
    void take(const joined_pack<Ops...>& ops) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            this->value.emplace(take_value(ops.template get<I>(), I == this->told_last())...);
        }
        (std::index_sequence_for<Ops...>{});
    }
    template <class Op>
    void take(const joined_range<Op>& ops) {
        T values;
        values.reserve(ops.size());
        for (std::size_t i = 0; i < ops.size(); ++i) {
            values.push_back(take_value(ops[i], i == this->told_last()));
        }
        this->value.emplace(std::move(values));
    }
};

}  // namespace detail

/// Joins operations: done when all of them are, with a `std::tuple` of their values, in which
/// `std::monostate` stands for void; with no value if none of them has one.
///
/// The first that fails or is cancelled decides that the outcome is the same; the others are asked
/// to cancel, and the outcome is reported when all have ended. `cancel()` asks all of them.
/// It takes the operations; their values are moved where nobody else watches them, else copied.
/// Cost: one block, and for each operation one read-modify-write at its end. Thread-safe: the
/// operations may end on any threads. Throws `std::bad_alloc`.
///
/// Example: `auto [page, user] = rung::all(std::move(a), std::move(b)).get();`
template <class... T, class... Progress>
requires(sizeof...(T) !=
         0) operation<detail::all_of_pack<T...>> all(operation<T, Progress>... ops) {
    return detail::make_join<detail::all_storage, detail::all_of_pack<T...>>(
        detail::joined_pack<operation<T, Progress>...>(std::move(ops)...));
}

/// Equivalent to `all(operation…)` for the elements of a range, which are taken out of it: with a
/// `std::vector` of their values in the range's order. Done at once where the range is empty.
template <detail::operation_range R>
auto all(R&& range) {
    using element = std::ranges::range_value_t<R>;
    using value = typename detail::all_of_range<typename element::value_type>::type;
    return detail::make_join<detail::all_storage, value>(
        detail::joined_range<element>(detail::take_operations(std::forward<R>(range))));
}

/// Equivalent to `all(std::ranges::subrange(first, last))`.
template <std::input_iterator Iterator, std::sentinel_for<Iterator> Sentinel>
requires detail::is_operation<std::iter_value_t<Iterator>>
auto all(Iterator first, Sentinel last) {
    return all(std::ranges::subrange(std::move(first), std::move(last)));
}

}  // namespace rung
