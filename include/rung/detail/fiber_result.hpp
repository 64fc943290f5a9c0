#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <optional>
#include <rung/detail/served_wait.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

template <class... Args>
class fiber_handler;

/// A wait for a completion with these arguments, which are kept here until the fiber goes on.
template <class... Args>
class fiber_result : public served_wait {
    using error_code = boost::system::error_code;

public:
    using tuple = std::tuple<std::decay_t<Args>...>;

    fiber_result() = default;
    ~fiber_result() { this->end(); }

private:
    template <class T>
    static constexpr bool tells_failure =
        std::is_same_v<T, error_code> || std::is_same_v<T, std::exception_ptr>;

    // What is returned: all arguments but a leading one that tells of a failure.
    template <class T>
    struct split {
        static constexpr std::size_t skipped = 0;
        using values = std::tuple<>;
    };
    template <class First, class... Rest>
    struct split<std::tuple<First, Rest...>> {
        static constexpr std::size_t skipped = tells_failure<First> ? 1 : 0;
        using values = std::conditional_t<tells_failure<First>, std::tuple<Rest...>,
                                          std::tuple<First, Rest...>>;
    };
    template <class T>
    struct returned {
        using type = T;
    };
    template <class T>
    struct returned<std::tuple<T>> {
        using type = T;
    };

    static constexpr std::size_t skipped = split<tuple>::skipped;
    using values = typename split<tuple>::values;

public:
    using handler = fiber_handler<Args...>;
    using return_type =
        std::conditional_t<std::tuple_size_v<values> == 0, void, typename returned<values>::type>;

    template <class... T>
    void set(T&&... args) {
        arguments_.emplace(std::forward<T>(args)...);
    }

    /// An operation that was ended by its deadline says so.
    void set_timed_out() noexcept {
        if constexpr (sizeof...(Args) != 0) {
            mend(std::get<0>(*arguments_));
        }
    }

    return_type get() {
        goes_on();
        return give(std::move(*arguments_));
    }
    tuple& arguments() noexcept { return *arguments_; }
    using fiber_wait::use_slot;

    /// Makes arguments what is returned or thrown.
    static return_type give([[maybe_unused]] tuple&& arguments) {
        if constexpr (skipped == 1) {
            throw_failure(std::get<0>(arguments));
        }
        if constexpr (std::tuple_size_v<values> == 1) {
            return std::get<skipped>(std::move(arguments));
        } else if constexpr (std::tuple_size_v<values> > 1) {
            return take(std::move(arguments),
                        std::make_index_sequence<std::tuple_size_v<values>>());
        }
    }

private:
    template <std::size_t... I>
    static values take(tuple&& arguments, std::index_sequence<I...>) {
        return values(std::get<skipped + I>(std::move(arguments))...);
    }
    static void throw_failure(const error_code& ec) {
        if (ec.failed()) {
            throw boost::system::system_error(ec);
        }
    }
    static void throw_failure(const std::exception_ptr& e) {
        if (e != nullptr) {
            std::rethrow_exception(e);
        }
    }
    static void mend(error_code& ec) noexcept {
        if (ec == boost::asio::error::operation_aborted) {
            ec = boost::asio::error::timed_out;
        }
    }
    template <class... T>
    static void mend(std::tuple<error_code, T...>& t) noexcept {
        mend(std::get<0>(t));
    }
    template <class T>
    static void mend(T&) noexcept {}

    std::optional<tuple> arguments_;
};

/// The completion handler that hands its arguments to a waiting fiber. Called once at most.
template <class... Args>
class fiber_handler : public fiber_handler_base {
public:
    using result_type = fiber_result<Args...>;

    explicit fiber_handler(result_type& r) noexcept : fiber_handler_base(r) {}

    /// Null if the fiber is gone.
    result_type* result() const noexcept { return static_cast<result_type*>(wait()); }

    template <class... T>
    void operator()(T&&... args) {
        if (auto* const r = static_cast<result_type*>(release())) {
            r->set(std::forward<T>(args)...);
            r->complete();
        }
    }
};

template <class Signature>
struct fiber_result_of;
template <class R, class... Args>
struct fiber_result_of<R(Args...)> {
    using type = fiber_result<Args...>;
};
template <class R, class... Args>
struct fiber_result_of<R(Args...)&> : fiber_result_of<R(Args...)> {};
template <class R, class... Args>
struct fiber_result_of<R(Args...) &&> : fiber_result_of<R(Args...)> {};
template <class R, class... Args>
struct fiber_result_of<R(Args...) noexcept> : fiber_result_of<R(Args...)> {};
template <class R, class... Args>
struct fiber_result_of<R(Args...)& noexcept> : fiber_result_of<R(Args...)> {};
template <class R, class... Args>
struct fiber_result_of<R(Args...)&& noexcept> : fiber_result_of<R(Args...)> {};

template <class Signature>
using fiber_result_for = typename fiber_result_of<Signature>::type;

}  // namespace rung::detail
