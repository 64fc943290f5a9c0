#pragma once

#include <boost/asio/dispatch.hpp>
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

/// An executor that nobody names: what a handler gives back has to be its own.
struct unnamed_executor {
    template <class Function>
    void execute(Function&&) const {}
    unnamed_executor require(boost::asio::execution::blocking_t::never_t) const noexcept {
        return {};
    }
    bool operator==(const unnamed_executor&) const noexcept = default;
};

template <class Handler>
inline constexpr bool has_immediate_executor =
    !std::is_same_v<boost::asio::associated_immediate_executor_t<Handler, unnamed_executor>,
                    boost::asio::associated_immediate_executor_t<void (*)(), unnamed_executor>>;

/// Runs the handler where it asked for, and from there on its own executor if it has one.
template <class Handler, class IoExecutor, class... Args>
void complete_at_once(Handler& handler, const IoExecutor& io_ex, Args&&... args) {
    const auto ex = boost::asio::get_associated_immediate_executor(handler, io_ex);
    boost::asio::dispatch(ex, bound_handler<Handler, std::decay_t<Args>...>{
                                  std::move(handler), {std::forward<Args>(args)...}});
}

#else

template <class Handler>
inline constexpr bool has_immediate_executor = false;
template <class Handler, class IoExecutor, class... Args>
void complete_at_once(Handler&, const IoExecutor&, Args&&...) {}

#endif

}  // namespace rung::detail
