#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/system_context.hpp>
#include <rung/detail/asio_binding.hpp>
#include <rung/executor.hpp>
#include <type_traits>
#include <utility>

namespace rung::detail {

template <class Executor>
concept standard_executor = boost::asio::execution::is_executor<Executor>::value;

/// An executor that is no place of its own, like the one of handlers that were bound to none.
/// In newer Boosts that is an executor which always runs things inside, and cannot be told not to.
template <class Executor>
inline constexpr bool always_inside =
    standard_executor<Executor> &&
    !boost::asio::can_require_v<Executor, boost::asio::execution::blocking_t::never_t>;
template <class Executor>
inline constexpr bool is_nowhere = is_promise_executor<Executor> || always_inside<Executor>;
template <class Executor>
requires(!is_promise_executor<Executor> && !always_inside<Executor> &&
         requires(const Executor& ex) {
             boost::asio::query(ex, boost::asio::execution::context);
         }) inline constexpr bool is_nowhere<Executor> =
    std::is_same_v<std::decay_t<decltype(boost::asio::query(std::declval<const Executor&>(),
                                                            boost::asio::execution::context))>,
                   boost::asio::system_context>;

/// Where a watcher's handler runs, with the work that keeps that place running until then.
///
/// A handler that was bound to no executor runs nowhere in particular: where it is told.
template <class Executor>
class watch_executor {
    static constexpr bool is_ours = std::is_base_of_v<executor, Executor>;
    static constexpr bool is_any = std::is_same_v<Executor, boost::asio::any_io_executor>;

    static auto make_work(const Executor& ex) {
        if constexpr (standard_executor<Executor>) {
            return boost::asio::prefer(ex, boost::asio::execution::outstanding_work.tracked);
        } else {
            return boost::asio::executor_work_guard<Executor>(ex);
        }
    }
    using work = decltype(make_work(std::declval<const Executor&>()));

public:
    static constexpr bool inline_only = is_nowhere<Executor>;

    explicit watch_executor(const Executor& ex) : work_(make_work(ex)) {}

    /// The `rung::executor` inside, to whose engine the watcher itself can be posted; or null.
    const executor* engine_executor() const noexcept {
        if constexpr (is_ours) {
            return &work_;
        } else if constexpr (is_any) {
            return work_.template target<executor>();
        } else {
            return nullptr;
        }
    }

    template <class Function, class Allocator>
    void post(Function&& f, const Allocator& a) {
        if constexpr (standard_executor<Executor>) {
            boost::asio::prefer(boost::asio::require(work_, boost::asio::execution::blocking.never),
                                boost::asio::execution::relationship.fork,
                                boost::asio::execution::allocator(a))
                .execute(std::forward<Function>(f));
        } else {
            work_.get_executor().post(std::forward<Function>(f), a);
        }
    }

private:
    work work_;
};

template <class Executor>
requires is_nowhere<Executor>
class watch_executor<Executor> {
public:
    static constexpr bool inline_only = true;
    explicit watch_executor(const Executor&) noexcept {}
};

template <class Handler>
using watch_executor_of = watch_executor<std::decay_t<boost::asio::associated_executor_t<Handler>>>;

}  // namespace rung::detail
