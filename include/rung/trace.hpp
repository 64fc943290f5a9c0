#pragma once

#include <atomic>
#include <cstdint>
#include <iosfwd>
#include <rung/detail/operation.hpp>
#include <rung/operation_state.hpp>
#include <string>

/// A picture of what ran when, for chrome://tracing or https://ui.perfetto.dev.
///
/// While it is on, the operations of the process, the handlers of every `rung::io_context` and the
/// program's own spans are recorded; each thread has a track for each priority. While it is off,
/// each place that could record costs one load.
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
/// How many events did not find room: a thread keeps 2^18 of them.
std::uint64_t dropped() noexcept;

}  // namespace rung::trace

namespace rung::detail {

class operation_core;

/// Whether anything is recorded.
extern std::atomic<bool> tracing;
inline bool is_traced() noexcept { return tracing.load(std::memory_order_relaxed); }

// Each adds an event of now to those of this thread.
void trace_begin(const char* name, level track) noexcept;
void trace_end(level track) noexcept;
void trace_operation(const operation_core* which, operation_state to) noexcept;

}  // namespace rung::detail

namespace rung::trace {

/// Whether anything is recorded. One load.
inline bool enabled() noexcept { return detail::is_traced(); }

/// Records how long a scope takes, on this thread's track of normal priority: a fiber's turn, a
/// phase of the program. The name must outlive the recording, like a literal. Spans nest.
class span {
public:
    explicit span(const char* name) noexcept : on_(enabled()) {
        if (on_) [[unlikely]] {
            detail::trace_begin(name, detail::level::normal);
        }
    }
    ~span() {
        if (on_) [[unlikely]] {
            detail::trace_end(detail::level::normal);
        }
    }
    span(const span&) = delete;
    span& operator=(const span&) = delete;

private:
    const bool on_;
};

}  // namespace rung::trace
