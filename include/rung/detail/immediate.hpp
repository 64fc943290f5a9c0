#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/version.hpp>
#include <rung/detail/completion.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

#if BOOST_VERSION >= 108200
#include <boost/asio/associated_immediate_executor.hpp>
#endif

/// Handlers that name an executor for the case that their operation ends within its initiating
/// function: Asio's `bind_immediate_executor`, since Boost 1.82.
namespace rung::detail {

#if BOOST_VERSION >= 108200

/// Stands for the I/O object's executor, which is what handlers get that name none.
struct no_immediate_executor {
    template <class Function>
    void execute(Function&&) const {}
    no_immediate_executor require(boost::asio::execution::blocking_t::never_t) const noexcept {
        return {};
    }
    bool operator==(const no_immediate_executor&) const noexcept = default;
};

template <class Handler>
using immediate_executor =
    boost::asio::associated_immediate_executor_t<Handler, no_immediate_executor>;

template <class Handler>
inline constexpr bool has_immediate_executor =
    !std::is_same_v<immediate_executor<Handler>, immediate_executor<void (*)()>>;

/// Runs the handler where it asked for. Precondition: it did.
template <class Handler, class... Args>
void complete_at_once(Handler& handler, Args&&... args) {
    const auto ex =
        boost::asio::get_associated_immediate_executor(handler, no_immediate_executor());
    const auto a = boost::asio::get_associated_allocator(handler);
    bound_handler<Handler, std::decay_t<Args>...> bound{std::move(handler),
                                                        {std::forward<Args>(args)...}};
    if constexpr (boost::asio::execution::is_executor<immediate_executor<Handler>>::value) {
        boost::asio::prefer(ex, boost::asio::execution::allocator(a)).execute(std::move(bound));
    } else {
        ex.dispatch(std::move(bound), a);
    }
}

#else

template <class Handler>
inline constexpr bool has_immediate_executor = false;
template <class Handler, class... Args>
void complete_at_once(Handler&, Args&&...) {}

#endif

}  // namespace rung::detail
