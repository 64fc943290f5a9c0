#pragma once

#include <boost/asio/error.hpp>
#include <cstdint>
#include <rung/detail/cancel_link.hpp>
#include <rung/detail/wait_queue.hpp>

namespace rung::detail {

struct timer_node;

/// One asynchronous wait on a timer.
class wait_operation : public linked_operation {
public:
    timer_node* timer = nullptr;  // on which it waits; guarded by the engine's lock
    bool aborted = false;

    boost::system::error_code error() const noexcept {
        return aborted ? boost::asio::error::operation_aborted : boost::system::error_code{};
    }

    void abandon() noexcept {}

protected:
    using linked_operation::linked_operation;
};

/// A timer as the engine sees it: a deadline, a place in the timer structure, and its waits.
/// Guarded by the engine's lock.
struct timer_node {
    using recheck_type = std::int64_t (*)(timer_node&);

    /// Where the node stands: nowhere, in the heap of near deadlines, or in a slot of the wheel.
    enum class place : std::uint8_t { none, heap, wheel };

    std::int64_t deadline_ns = 0;  // on CLOCK_MONOTONIC
    place at = place::none;
    std::uint8_t wheel_level = 0;
    std::uint8_t slot = 0;
    std::uint32_t index = 0;  // in the heap
    void* entry = nullptr;    // in the wheel
    /// For clocks other than CLOCK_MONOTONIC: the deadline anew, or one in the past if it is over.
    recheck_type recheck = nullptr;
    wait_queue waits;
};

}  // namespace rung::detail
