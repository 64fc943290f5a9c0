#pragma once

#include <rung/detail/join.hpp>
#include <variant>

namespace rung {

/// What `any` gives: which of the operations was done first, and its value.
template <class T>
struct any_result {
    using value_type = T;

    std::size_t index;
    T value;
};

namespace detail {

/// The value of `any` over operations with values `T…`: their type if it is one, else a variant
/// with an alternative for each, in which `std::monostate` stands for void; the index alone where
/// there are none.
template <class First, class... Rest>
struct any_of {
    static constexpr bool one_type = (std::is_same_v<First, Rest> && ...);
    using type =
        any_result<std::conditional_t<one_type, joined_value<First>,
                                      std::variant<joined_value<First>, joined_value<Rest>...>>>;
};
template <class First, class... Rest>
requires(std::is_void_v<First> && (std::is_void_v<Rest> && ...)) struct any_of<First, Rest...> {
    using type = std::size_t;
};

template <class T, class Operations>
class any_storage : public join_storage<T, Operations> {
public:
    any_storage(operation_core::destroy_function d, operation_state s, Operations&& ops)
        : join_storage<T, Operations>(d, s, join::rule::any, std::move(ops)) {}
    void run() {
        if (this->operations_.size() == 0) {
            this->set_error(boost::asio::error::invalid_argument);
            this->finish(operation_state::failed);
            this->release();
        } else {
            this->start();
        }
    }

private:
    void emplace_value() final {
        if constexpr (std::is_same_v<T, std::size_t>) {
            this->value.emplace(this->decisive());
        } else {
            take(this->operations_);
        }
    }
    template <class... Ops>
    void take(const joined_pack<Ops...>& ops) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            static_cast<void>(((I == this->decisive() && (take_at<I>(ops), true)) || ...));
        }
        (std::index_sequence_for<Ops...>{});
    }
    template <std::size_t I, class... Ops>
    void take_at(const joined_pack<Ops...>& ops) {
        auto taken = take_value(ops.template get<I>(), I == this->told_last());
        using held = typename T::value_type;
        if constexpr (std::is_same_v<held, decltype(taken)>) {
            this->value.emplace(T{I, std::move(taken)});
        } else {
            this->value.emplace(T{I, held(std::in_place_index<I>, std::move(taken))});
        }
    }
    template <class Op>
    void take(const joined_range<Op>& ops) {
        const std::size_t i = this->decisive();
        this->value.emplace(T{i, take_value(ops[i], i == this->told_last())});
    }
};

}  // namespace detail

/// Joins operations: done when the first of them was, with an `any_result` of its index and value.
///
/// The others are then asked to cancel, and the outcome is reported when all have ended, so that
/// nothing of theirs is in use any more. If none is done it ends as the one did that ended first.
/// Values of one type come as that type, of several as a `std::variant` with an alternative for
/// each operation; where none has a value the result is the index, a `std::size_t`. `cancel()` asks
/// all of them. Otherwise as `all`.
///
/// Example: `auto [index, answer] = rung::any(ask(primary), ask(replica)).get();`
template <class... T, class... Progress>
requires(sizeof...(T) !=
         0) operation<typename detail::any_of<T...>::type> any(operation<T, Progress>... ops) {
    return detail::make_join<detail::any_storage, typename detail::any_of<T...>::type>(
        detail::joined_pack<operation<T, Progress>...>(std::move(ops)...));
}

/// Equivalent to `any(operation…)` for the elements of a range, which are taken out of it. Fails
/// with `asio::error::invalid_argument` where the range is empty.
template <detail::operation_range R>
auto any(R&& range) {
    using element = std::ranges::range_value_t<R>;
    using value = typename detail::any_of<typename element::value_type>::type;
    return detail::make_join<detail::any_storage, value>(
        detail::joined_range<element>(detail::take_operations(std::forward<R>(range))));
}

/// Equivalent to `any(std::ranges::subrange(first, last))`.
template <std::input_iterator Iterator, std::sentinel_for<Iterator> Sentinel>
requires detail::is_operation<std::iter_value_t<Iterator>>
auto any(Iterator first, Sentinel last) {
    return any(std::ranges::subrange(std::move(first), std::move(last)));
}

}  // namespace rung
