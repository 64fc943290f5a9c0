#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <rung/clock.hpp>
#include <rung/priority.hpp>
#include <string_view>

namespace rung {

/// Names a fiber for as long as the process lives; a default-constructed one names none.
class fiber_id {
public:
    constexpr fiber_id() noexcept = default;
    friend constexpr auto operator<=>(const fiber_id&, const fiber_id&) noexcept = default;
    /// Writes the id in a form that tells fibers apart.
    friend std::ostream& operator<<(std::ostream& out, const fiber_id& id);

private:
    friend struct std::hash<fiber_id>;
    friend struct this_fiber_access;
    constexpr fiber_id(std::uintptr_t stack, std::uint64_t generation) noexcept
        : stack_(stack), generation_(generation) {}

    std::uintptr_t stack_ = 0;
    std::uint64_t generation_ = 0;  // of the functions that ran on that stack
};

/// What the running fiber may ask and do about itself.
///
/// Every function throws `std::logic_error` outside of a fiber, unless it says otherwise.
namespace this_fiber {

/// Whether the calling code runs in a fiber. Never throws.
bool exists() noexcept;

/// Lets every handler that is ready at the fiber's priority, or above, run first.
void yield();

/// Suspends the fiber until that time. Errors: `system_error` with `asio::error::operation_aborted`
/// if the fiber is cancelled meanwhile or was before. Allocates nothing on a `rung::executor`.
void sleep_until(clock::time_point when);
/// Equivalent to `sleep_until(now + duration)`.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& duration) {
    sleep_until(std::chrono::steady_clock::now() + std::chrono::ceil<clock::duration>(duration));
}

/// The executor on which the fiber runs, without the fibers: what `spawn` was given, or what is
/// inside the `fiber_executor`.
boost::asio::any_io_executor get_executor();

/// The fiber's id, or none outside of a fiber. Never throws.
fiber_id get_id() noexcept;

/// The level at which the fiber goes on, and its operations' handlers run.
priority get_priority();
/// Changes it. Takes effect with the next wait or yield. Without effect on an executor that has no
/// priorities.
void set_priority(priority p);

/// The name that overflow reports and debuggers show. The view ends with the next change of it.
std::string_view get_name();
/// Changes the name, of which the first 23 bytes are kept.
void set_name(std::string_view name);

/// The cancellation types that were requested of the fiber so far.
boost::asio::cancellation_type_t cancelled();
/// Throws `system_error` with `asio::error::operation_aborted` if the fiber was cancelled.
void throw_if_cancelled();
/// Forgets requests so far, so that the fiber may wait again: to clean up.
void reset_cancellation();

}  // namespace this_fiber
}  // namespace rung

template <>
struct std::hash<rung::fiber_id> {
    std::size_t operator()(const rung::fiber_id& id) const noexcept {
        return std::hash<std::uint64_t>()(id.stack_ ^ (id.generation_ << 40U));
    }
};
