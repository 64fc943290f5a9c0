#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <rung/detail/fiber_core.hpp>
#include <rung/detail/short_lock.hpp>
#include <rung/trace.hpp>
#include <vector>

namespace rung::detail {

/// One thing that happened on a thread.
struct trace_event {
    enum class kind : std::uint8_t {
        begin,       // of a handler, or of a span in one
        end,         // of the innermost
        operation,   // is in a state
        fiber_goes,  // a turn of a fiber begins
        fiber_waits,
        fiber_ends,
        fiber_begin,  // of a span in a fiber
        fiber_end,
    };
    kind what;
    level track;
    operation_state state;
    std::int64_t time_ns;
    const char* name;      // of what begins
    const void* subject;   // the operation, or the fiber's stack
    std::uint64_t number;  // of the functions that ran on that stack
};

/// What one thread has recorded. It outlives the thread, until the next start.
struct trace_recording {
    static constexpr std::size_t most = std::size_t{1} << 18;
    using fiber_key = std::pair<const void*, std::uint64_t>;

    short_lock lock;
    // Guarded by lock.
    std::vector<trace_event> events;
    std::map<fiber_key, fiber_name> fibers;  // those that have a name
    std::uint64_t dropped = 0;
};

/// The recordings of all threads.
struct trace_registry {
    std::mutex mutex;
    std::vector<std::shared_ptr<trace_recording>> threads;  // guarded by mutex

    static trace_registry& instance();
    /// Frees all that was recorded.
    void forget();
};

}  // namespace rung::detail
