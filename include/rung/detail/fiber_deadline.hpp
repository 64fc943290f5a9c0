#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <rung/clock.hpp>
#include <rung/detail/fiber_core.hpp>
#include <rung/detail/wait_operation.hpp>

namespace rung::detail {

/// A timer in a fiber's frame. On a `rung::executor` it is the engine's own, without allocation.
class fiber_alarm : private wait_operation {
public:
    enum class outcome : std::uint8_t {
        expired,
        stopped,
        destroyed,  // with the context
    };
    using ended_type = void (*)(fiber_alarm&, outcome);

    /// `f` is called once after each `start`, on the fiber's executor.
    fiber_alarm(fiber& owner, ended_type f);
    ~fiber_alarm();

    /// Precondition: the alarm is not running. Throws `std::bad_alloc`.
    void start(clock::time_point when);
    /// Ends the alarm at once, unless it has ended.
    void stop() noexcept;

    fiber& owner() const noexcept { return owner_; }

private:
    static void finish(operation* base, action what);

    /// Named in full, because rung/as_default.hpp makes plain names native.
    using timer_type =
        boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                          boost::asio::wait_traits<std::chrono::steady_clock>,
                                          boost::asio::any_io_executor>;

    /// A timer that is not ours, and the way from it to the alarm, which may be gone by then.
    struct handle {
        handle(const boost::asio::any_io_executor& ex, fiber_alarm& a) : timer(ex), alarm(&a) {}
        std::mutex mutex;
        timer_type timer;    // guarded by mutex
        fiber_alarm* alarm;  // touched on the fiber's executor only
    };

    fiber& owner_;
    const ended_type ended_;
    bool started_ = false;
    timer_node node_;
    std::shared_ptr<handle> handle_;  // where the fiber's executor is not ours
};

/// Cancels the operation for which a fiber waits once a time has come.
///
/// The wait is over when both the operation and the alarm have ended.
class fiber_deadline : private fiber_alarm {
public:
    explicit fiber_deadline(fiber_wait& wait);
    ~fiber_deadline();

    /// Sets the alarm, unless the operation has ended already. To be called once, when it has been
    /// started.
    void arm(clock::time_point when);
    /// Whether the deadline came before the operation's end.
    bool came() const noexcept { return came_; }

private:
    friend class fiber_wait;

    void operation_ended();
    void abandoned() noexcept;
    static void alarm_ended(fiber_alarm& base, outcome how);
    void one_ended();

    fiber_wait& wait_;
    boost::asio::cancellation_signal signal_;
    std::atomic<int> left_{2};  // the operation and the alarm
    std::atomic<bool> operation_ended_{false};
    std::atomic<bool> abandoned_{false};
    bool came_ = false;
};

}  // namespace rung::detail
