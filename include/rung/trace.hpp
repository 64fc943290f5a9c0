#pragma once

#include <atomic>
#include <cstdint>
#include <iosfwd>
#include <rung/detail/operation.hpp>
#include <rung/operation_state.hpp>
#include <string>

/// A picture of what ran when, for chrome://tracing or https://ui.perfetto.dev.
///
/// While it is on, the operations of the process, the handlers of every `rung::io_context`, the
/// turns of fibers and the program's own spans are recorded. Each thread has a track for each
/// priority, on which lie handlers, with the turns of fibers in them; each operation and each fiber
/// has one of its own, from its beginning to its end. While it is off, each place that could record
/// costs one load. The recordings of several processes can be put together: they have one clock.
///
/// Example:
///
///     rung::trace::start();
///     run_for_a_while();
///     rung::trace::save("trace.json");
namespace rung::trace {

/// Begins to record, and forgets what was recorded before. Any thread.
void start();
/// Stops recording. Any thread; one that is in the middle of something may still record that.
void stop() noexcept;
/// Stops, and writes what was recorded as JSON in the trace event format.
void write(std::ostream& out);
/// Stops, and writes it to a file. Throws `system_error` if that cannot be written.
void save(const std::string& path);
/// How many events did not find room: a thread keeps 2^18 of them, of 48 bytes.
std::uint64_t dropped() noexcept;

}  // namespace rung::trace

namespace rung::detail {

class operation_core;

/// Whether anything is recorded.
extern std::atomic<bool> tracing;
inline bool is_traced() noexcept { return tracing.load(std::memory_order_relaxed); }

class fiber;

// Each adds an event of now to those of this thread.
/// Gives the level of the handler around this one, for `trace_handler_end`.
level trace_handler_begin(level l) noexcept;
void trace_handler_end(level before) noexcept;
void trace_operation(const operation_core* which, operation_state to) noexcept;
void trace_fiber_goes(const fiber& f) noexcept;
/// The fiber waits, or has ended if it is idle.
void trace_fiber_stops(const fiber& f) noexcept;

}  // namespace rung::detail

namespace rung::trace {

/// Whether anything is recorded. One load.
inline bool enabled() noexcept { return detail::is_traced(); }

/// Records how long a scope takes: within the handler that runs, or in a fiber, where it may go on
/// over several turns, on the fiber's own track. The name must outlive the recording, like a
/// literal. Spans nest.
class span {
public:
    explicit span(const char* name) noexcept : on_(enabled()) {
        if (on_) [[unlikely]] {
            begin(name);
        }
    }
    ~span() {
        if (on_) [[unlikely]] {
            end();
        }
    }
    span(const span&) = delete;
    span& operator=(const span&) = delete;

private:
    static void begin(const char* name) noexcept;
    static void end() noexcept;

    const bool on_;
};

}  // namespace rung::trace
