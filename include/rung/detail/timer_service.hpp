#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/wait_traits.hpp>
#include <chrono>
#include <limits>
#include <rung/detail/clock_timers.hpp>
#include <rung/detail/io_handler.hpp>
#include <rung/detail/wait_operation.hpp>
#include <rung/executor.hpp>
#include <thread>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// A wait with its arguments: `(error_code)`.
class timer_core : public wait_operation {
public:
    explicit timer_core(function_type f) noexcept : wait_operation(f, level::normal) {}
    std::tuple<boost::system::error_code> take_result() const noexcept { return {error()}; }
};

/// What a native timer of CLOCK_MONOTONIC consists of.
struct steady_timer_data : timer_node {
    bool may_have_waits = false;
};

/// What a native timer of another clock consists of.
template <class Traits>
struct clock_timer_data : clock_timers_of<Traits>::timer {
    bool may_have_waits = false;
};

/// The native implementation behind Asio's waitable timers of one clock.
///
/// Members have the names, the arguments and the errors of Asio's own timer service. Deadlines of
/// `std::chrono::steady_clock` go to the engine as they are. The timers of any other clock are
/// ordered by that clock, which is looked at at least once a second, since it may be set meanwhile.
template <class Traits>
class timer_service {
    using steady_traits = clock_time_traits<std::chrono::steady_clock,
                                            boost::asio::wait_traits<std::chrono::steady_clock>>;
    static constexpr bool steady = std::is_same_v<Traits, steady_traits>;

public:
    using time_type = typename Traits::time_type;
    using duration_type = typename Traits::duration_type;
    using error_code = boost::system::error_code;
    using implementation_type =
        std::conditional_t<steady, steady_timer_data, clock_timer_data<Traits>>;

    template <native_executor Executor>
    explicit timer_service(const Executor& ex) noexcept
        : engine_(&executor_access::engine_of(inner_executor(ex))) {}

    io_context& context() const noexcept { return engine::context_of(*engine_); }

    void construct(implementation_type& t) {
        if constexpr (steady) {
            t.of = timer_node::kind::repeated;
        } else {
            t.of = timer_node::kind::of_clock;
            t.clock = &boost::asio::use_service<clock_timers_of<Traits>>(context());
        }
    }
    void destroy(implementation_type& t) noexcept {
        if (std::exchange(t.may_have_waits, false) || t.at != timer_node::place::none) {
            engine::remove_timer(*engine_, t);
        }
    }
    void move_construct(implementation_type& to, implementation_type& from) noexcept {
        to.of = from.of;
        take(to, from);
    }
    void converting_move_construct(implementation_type& to, timer_service&,
                                   implementation_type& from) noexcept {
        move_construct(to, from);
    }
    void move_assign(implementation_type& to, timer_service& from_service,
                     implementation_type& from) noexcept {
        destroy(to);
        from_service.take(to, from);
    }

    std::size_t cancel(implementation_type& t, error_code& ec) noexcept {
        ec = {};
        return cancel(t);
    }
    std::size_t cancel_one(implementation_type& t, error_code& ec) noexcept {
        ec = {};
        return t.may_have_waits ? engine::cancel_waits(*engine_, t, 1) : 0;
    }
    time_type expiry(const implementation_type& t) const {
        if constexpr (steady) {
            return time_type(std::chrono::nanoseconds(t.deadline_ns));
        } else {
            return t.expiry;
        }
    }
    time_type expires_at(const implementation_type& t) const { return expiry(t); }
    duration_type expires_from_now(const implementation_type& t) const {
        return Traits::subtract(expiry(t), Traits::now());
    }
    std::size_t expires_at(implementation_type& t, const time_type& expiry, error_code& ec) {
        const std::size_t n = cancel(t, ec);
        set_expiry(t, expiry);
        return n;
    }
    std::size_t expires_after(implementation_type& t, const duration_type& d, error_code& ec) {
        return expires_at(t, Traits::add(Traits::now(), d), ec);
    }
    std::size_t expires_from_now(implementation_type& t, const duration_type& d, error_code& ec) {
        return expires_after(t, d, ec);
    }

    void wait(implementation_type& t, error_code& ec) {
        ec = {};
        while (Traits::less_than(Traits::now(), expiry(t))) {
            const std::int64_t left_ns = clock_timers_of<Traits>::remaining_ns(expiry(t));
            std::this_thread::sleep_for(std::chrono::nanoseconds(left_ns));
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& t, Handler& handler, const IoExecutor& ex) {
        cancel_link* const link = connect_slot<&engine::cancel_wait>(handler, *engine_);
        auto* const op = make_handler_operation<timer_core>(handler, ex);
        BOOST_ASIO_HANDLER_CREATION((context(), *op, "deadline_timer", &t, 0, "async_wait"));
        t.may_have_waits = true;
        engine::wait(*engine_, t, t.deadline_ns, op, link);
    }

private:
    static void set_expiry(implementation_type& t, const time_type& expiry) {
        if constexpr (steady) {
            t.deadline_ns = std::chrono::nanoseconds(expiry.time_since_epoch()).count();
        } else {
            t.expiry = expiry;
        }
    }

    std::size_t cancel(implementation_type& t) noexcept {
        if (!std::exchange(t.may_have_waits, false)) {
            return 0;
        }
        return engine::cancel_waits(*engine_, t, std::numeric_limits<std::size_t>::max());
    }

    /// Moves what the engine knows of a timer to one of which it knows nothing.
    void take(implementation_type& to, implementation_type& from) noexcept {
        if constexpr (!steady) {
            to.clock = from.clock;
        }
        set_expiry(to, expiry(from));  // before the move, after which the loop may look at it
        if (from.may_have_waits) {
            engine::move_timer(*engine_, to, from);
        }
        set_expiry(from, time_type());
        to.may_have_waits = std::exchange(from.may_have_waits, false);
    }

    scheduler* engine_;
};

}  // namespace rung::detail
