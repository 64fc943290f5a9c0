#pragma once

#include <boost/asio/wait_traits.hpp>
#include <chrono>
#include <limits>
#include <rung/clock.hpp>
#include <rung/detail/io_handler.hpp>
#include <rung/detail/wait_operation.hpp>
#include <rung/executor.hpp>
#include <thread>

namespace rung::detail {

/// A wait with its arguments: `(error_code)`.
class timer_core : public wait_operation {
public:
    explicit timer_core(function_type f) noexcept : wait_operation(f, level::normal) {}
    std::tuple<boost::system::error_code> take_result() const noexcept { return {error()}; }
};

/// The native implementation behind Asio's waitable timers of one clock.
///
/// Members have the names, the arguments and the errors of Asio's own timer service. Deadlines of
/// `std::chrono::steady_clock` go to the engine as they are. Those of any other clock are looked at
/// again at least once a second, so that the clock may be set meanwhile.
template <class Traits>
class timer_service {
    using steady_traits = clock_time_traits<std::chrono::steady_clock,
                                            boost::asio::wait_traits<std::chrono::steady_clock>>;
    static constexpr bool steady = std::is_same_v<Traits, steady_traits>;
    static constexpr std::int64_t look_again_ns = 1'000'000'000;

public:
    using time_type = typename Traits::time_type;
    using duration_type = typename Traits::duration_type;
    using error_code = boost::system::error_code;
    struct implementation_type : timer_node {
        time_type expiry{};
        bool may_have_waits = false;
    };

    template <native_executor Executor>
    explicit timer_service(const Executor& ex) noexcept
        : engine_(&executor_access::engine_of(inner_executor(ex))) {}

    io_context& context() const noexcept { return engine::context_of(*engine_); }

    void construct(implementation_type& t) noexcept {
        if constexpr (!steady) {
            t.recheck = &timer_service::recheck;
        }
    }
    void destroy(implementation_type& t) noexcept { cancel(t); }
    void move_construct(implementation_type& to, implementation_type& from) noexcept {
        construct(to);
        to.expiry = from.expiry;  // before the move, after which the loop may look at it
        if (from.may_have_waits) {
            engine::move_timer(*engine_, to, from);
        }
        from.expiry = time_type();
        to.may_have_waits = std::exchange(from.may_have_waits, false);
    }
    void converting_move_construct(implementation_type& to, timer_service&,
                                   implementation_type& from) noexcept {
        move_construct(to, from);
    }
    void move_assign(implementation_type& to, timer_service& from_service,
                     implementation_type& from) noexcept {
        cancel(to);
        from_service.move_construct(to, from);
    }

    std::size_t cancel(implementation_type& t, error_code& ec) noexcept {
        ec = {};
        return cancel(t);
    }
    std::size_t cancel_one(implementation_type& t, error_code& ec) noexcept {
        ec = {};
        return t.may_have_waits ? engine::cancel_waits(*engine_, t, 1) : 0;
    }
    time_type expiry(const implementation_type& t) const { return t.expiry; }
    time_type expires_at(const implementation_type& t) const { return t.expiry; }
    duration_type expires_from_now(const implementation_type& t) const {
        return Traits::subtract(t.expiry, now());
    }
    std::size_t expires_at(implementation_type& t, const time_type& expiry, error_code& ec) {
        const std::size_t n = cancel(t, ec);
        t.expiry = expiry;
        return n;
    }
    std::size_t expires_after(implementation_type& t, const duration_type& d, error_code& ec) {
        return expires_at(t, Traits::add(now(), d), ec);
    }
    std::size_t expires_from_now(implementation_type& t, const duration_type& d, error_code& ec) {
        return expires_after(t, d, ec);
    }

    void wait(implementation_type& t, error_code& ec) {
        ec = {};
        while (Traits::less_than(Traits::now(), t.expiry)) {
            std::this_thread::sleep_for(std::chrono::nanoseconds(remaining_ns(t)));
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& t, Handler& handler, const IoExecutor& ex) {
        cancel_link* const link = connect_slot<&engine::cancel_wait>(handler, *engine_);
        auto* const op = make_handler_operation<timer_core>(handler, ex);
        BOOST_ASIO_HANDLER_CREATION((context(), *op, "deadline_timer", &t, 0, "async_wait"));
        t.may_have_waits = true;
        engine::wait(*engine_, t, deadline_ns(t), op, link);
    }

private:
    static time_type now() {
        if constexpr (steady) {
            return clock::now();
        } else {
            return Traits::now();
        }
    }

    std::size_t cancel(implementation_type& t) noexcept {
        if (!std::exchange(t.may_have_waits, false)) {
            return 0;
        }
        return engine::cancel_waits(*engine_, t, std::numeric_limits<std::size_t>::max());
    }

    /// How long until the expiry, at most one second.
    static std::int64_t remaining_ns(const implementation_type& t) {
        const auto left = Traits::to_posix_duration(Traits::subtract(t.expiry, Traits::now()));
        const std::int64_t us = left.total_microseconds();
        // A wait shorter than the traits' unit still has to pass before the expiry is looked at.
        return us >= look_again_ns / 1000 ? look_again_ns : (us > 0 ? us : 0) * 1000 + 1000;
    }

    static std::int64_t deadline_ns(const implementation_type& t) {
        if constexpr (steady) {
            return std::chrono::nanoseconds(t.expiry.time_since_epoch()).count();
        } else {
            return Traits::less_than(Traits::now(), t.expiry)
                       ? clock::now_ns() + remaining_ns(t)
                       : std::numeric_limits<std::int64_t>::min();
        }
    }

    static std::int64_t recheck(timer_node& node) {
        return deadline_ns(static_cast<implementation_type&>(node));
    }

    scheduler* engine_;
};

}  // namespace rung::detail
