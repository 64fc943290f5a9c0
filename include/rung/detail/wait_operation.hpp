#pragma once

#include <atomic>
#include <boost/asio/error.hpp>
#include <cstdint>
#include <rung/detail/cancel_link.hpp>
#include <rung/detail/wait_queue.hpp>

namespace rung::detail {

/// One asynchronous wait on a timer.
class wait_operation : public linked_operation {
public:
    bool aborted() const noexcept { return aborted_; }

    boost::system::error_code error() const noexcept {
        return aborted() ? boost::asio::error::operation_aborted : boost::system::error_code{};
    }

    void abandon() noexcept {}

protected:
    using linked_operation::linked_operation;
};

/// A timer as the engine sees it: a deadline, a place in a timer structure, and its waits.
///
/// Guarded by the engine's lock, except where said otherwise.
struct timer_node {
    /// Where the node has an entry: nowhere, in a heap, or in a slot of the wheel.
    enum class place : std::uint8_t { none, heap, wheel };
    /// Read without the lock when the timer is destroyed: a timer without an entry is not known to the
    /// engine, which may be gone by then.
    class atomic_place {
    public:
        // Acquire pairs with release: once there is no entry, the engine has done with the node.
        operator place() const noexcept { return value_.load(std::memory_order_acquire); }
        atomic_place& operator=(place p) noexcept {
            value_.store(p, std::memory_order_release);
            return *this;
        }

    private:
        std::atomic<place> value_{place::none};
    };
    enum class kind : std::uint8_t {
        single,    // disarmed, it has no entry
        repeated,  // its entry may stay until time reaches it; it is removed before it is destroyed
        of_clock,  // a timer of `clock_timers`
        look,      // the timer of `clock_timers` itself
    };

    /// On CLOCK_MONOTONIC. Its owner's while there are no waits, the engine's while there are.
    std::int64_t deadline_ns = 0;
    union {
        timer_node** entry = nullptr;  // in the wheel
        std::uint32_t index;           // in a heap
    };
    wait_queue waits;
    atomic_place at;
    std::uint8_t wheel_level = 0;
    std::uint8_t slot = 0;
    bool armed = false;      // it is to expire; else its entry, if any, has been left behind
    kind of = kind::single;  // constant
    bool urgent = false;     // it stands among the urgent ones
};

}  // namespace rung::detail
