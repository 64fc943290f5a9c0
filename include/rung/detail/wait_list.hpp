#pragma once

#include <boost/asio/async_result.hpp>
#include <cstdint>
#include <rung/detail/waiting_handler.hpp>
#include <tuple>
#include <utility>

namespace rung::detail {

/// What most synchronisation objects are: a number of units to take, and those who wait for one.
/// Thread-safe.
class wait_list : public waiting_place {
public:
    static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

    explicit wait_list(std::uint64_t units) noexcept : units_(units) {}

    /// Takes a unit if there is one. With `unlimited` units none is used up.
    bool try_take() noexcept {
        place_name from;
        return try_take(&from);
    }
    /// The same; says to which place the unit may go back.
    bool try_take(place_name* from) noexcept {
        const lock_guard lock(mutex_);
        return take_unit(*from);
    }
    /// Ends the waiter once it has a unit, which may be at once.
    void take(waiter* w);
    /// Adds units. Those who have waited longest get them.
    void give(std::uint64_t n);
    /// Lets at most that many waiters go without a unit. Gives their number.
    std::uint64_t let_go(std::uint64_t n);
    /// Changes the number of units; `unlimited` lets everybody go.
    void set(std::uint64_t units);
    std::uint64_t units() const noexcept;
    /// Adds a waiter that takes no unit but those it finds given later.
    void wait(waiter* w) noexcept;
    /// Waits on this thread, or in this fiber. Precondition: in no handler of a loop that the unit
    /// comes from. Throws `system_error` if the wait was cancelled or the list goes.
    void take_blocking();

    /// Takes a unit back that a waiter was given, and nobody got.
    static void give_back(const place_name& from);

private:
    bool take_unit(place_name& from) noexcept {
        if (units_ == 0) {
            return false;
        }
        if (units_ != unlimited) {
            --units_;
            from = name();
        }
        return true;
    }
    waiter* pop_served() noexcept;

    std::uint64_t units_;  // guarded by mutex_
};

/// Waits for no more than its end.
class plain_waiter : public waiter {
public:
    std::tuple<error_code> take_result() const noexcept { return {error}; }
    static void give_back(const place_name& from) { wait_list::give_back(from); }

protected:
    using waiter::waiter;
};

/// Takes a unit. A fiber that finds one does not wait.
struct take_initiation {
    wait_list* list;
    const carrier_executor* executor;

    bool at_once(std::tuple<waiter::error_code>&) const noexcept { return list->try_take(); }

    template <class Handler>
    void operator()(Handler&& handler) const {
        using waiting = waiting_handler<plain_waiter, std::decay_t<Handler>>;
        list->open_gate();
        if constexpr (waiting::is_fiber) {
            place_name from;
            if (list->try_take(&from)) {
                waiting::was_served(handler, from);
                std::forward<Handler>(handler)(waiter::error_code());
                return;
            }
        }
        auto* const w = waiting::make(std::forward<Handler>(handler), *executor);
        w->connect(*list);
        list->take(w);
    }
};

template <class Token>
auto async_take(wait_list& list, const carrier_executor& ex, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        take_initiation{&list, &ex}, token);
}

}  // namespace rung::detail
