#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace rung {

/// A snapshot of what an `io_context` has done so far; see `io_context::statistics()`.
///
/// Counters start at zero with the context and only grow. A snapshot taken while the context runs is
/// consistent for each figure, not across them.
struct statistics {
    /// Number of priority levels; index 0 is high, 1 normal, 2 low.
    static constexpr std::size_t levels = 3;

    /// Handlers run at each level.
    std::array<std::uint64_t, levels> handlers{};
    /// Handlers waiting in the run queue of each level.
    std::array<std::uint64_t, levels> queued{};
    /// Operations handed to the kernel.
    std::uint64_t submissions = 0;
    /// Completions taken from the kernel.
    std::uint64_t completions = 0;
    /// Operations that the kernel, or the waiting list before it, holds now.
    std::uint64_t in_flight = 0;
    /// Non-blocking calls made in place of an entry: before one, or after a poll.
    std::uint64_t speculated = 0;
    /// Calls of `io_uring_enter`.
    std::uint64_t system_calls = 0;
    /// Times that the loop went to sleep in the kernel.
    std::uint64_t sleeps = 0;
    /// Times that another thread woke the loop with a system call.
    std::uint64_t wake_ups = 0;
    /// Handlers posted by threads outside the loop.
    std::uint64_t remote_posts = 0;
    /// Times that an operation found the submission queue full and waited for room.
    std::uint64_t submission_overflows = 0;
    /// Times that the completion queue was found full, and the kernel kept completions aside.
    std::uint64_t completion_overflows = 0;
    /// Operations that went to the kernel once more: it had ended them early (the thread that had
    /// submitted them exited, a signal), or what it had announced was not there.
    std::uint64_t restarts = 0;
    /// Entries of the submission queue: as many as asked for, or 32 where the limit of lockable
    /// memory allows no more; see `io_context_options::ring_entries`.
    std::uint64_t ring_entries = 0;
    /// Times that a thread entered `run()` or its like beside another one although
    /// `io_context_options::concurrency_hint` was 1.
    std::uint64_t extra_runners = 0;
    /// Timers waiting now.
    std::uint64_t timers = 0;
    /// Times that another thread took the engine's lock from the thread that owned it.
    std::uint64_t lock_borrows = 0;
    /// Whether stock I/O objects on this context run on a thread of Asio's own, as they do where
    /// Asio does not use epoll or tracks handlers, and not on the loop.
    bool guest_thread = false;
    /// Nanoseconds spent in handlers; zero unless `io_context_options::measure_time` is set.
    std::uint64_t handler_time_ns = 0;
    /// Nanoseconds spent asleep; zero unless `io_context_options::measure_time` is set.
    std::uint64_t sleep_time_ns = 0;
};

}  // namespace rung
