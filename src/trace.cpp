/// What is recorded, while that is on. How it is written: trace_file.cpp.

#include <algorithm>
#include <mutex>
#include <rung/clock.hpp>
#include <rung/trace.hpp>
#include <utility>

#include "fiber.hpp"
#include "trace_events.hpp"

namespace rung::detail {

std::atomic<bool> tracing{false};

trace_registry& trace_registry::instance() {
    static trace_registry* const r = new trace_registry;  // for threads that outlive the statics
    return *r;
}

void trace_registry::forget() {
    const std::lock_guard lock(mutex);
    std::erase_if(threads, [](const auto& r) { return r.use_count() == 1; });  // of dead threads
    for (const auto& r : threads) {
        std::vector<trace_event> events;  // freed without the lock
        std::map<trace_recording::fiber_key, fiber_name> fibers;
        const std::lock_guard held(r->lock);
        r->events.swap(events);
        r->fibers.swap(fibers);
        r->dropped = 0;
    }
}

namespace {

using kind = trace_event::kind;

/// Of the handler that this thread runs.
constinit thread_local level this_track = level::normal;

trace_recording* own_recording() noexcept {
    static thread_local std::shared_ptr<trace_recording> own;
    if (own == nullptr) {
        try {
            auto fresh = std::make_shared<trace_recording>();
            trace_registry& all = trace_registry::instance();
            const std::lock_guard lock(all.mutex);
            all.threads.push_back(fresh);
            own = std::move(fresh);
        } catch (const std::bad_alloc&) {
        }
    }
    return own.get();
}

void add(const trace_event& e, const fiber* named = nullptr) noexcept {
    trace_recording* const own = own_recording();
    if (own == nullptr) {
        return;
    }
    const std::lock_guard held(own->lock);
    try {
        if (own->events.size() < trace_recording::most) {
            if (named != nullptr) {
                fiber_name name{};
                std::copy_n(named->name(), name.size(), name.begin());
                own->fibers.try_emplace({e.subject, e.number}, name);
            }
            own->events.push_back(e);
            return;
        }
    } catch (const std::bad_alloc&) {
    }
    ++own->dropped;
}

trace_event event(kind what, level track, const char* name = nullptr) noexcept {
    return {what, track, {}, clock::now_ns(), name, nullptr, 0};
}

trace_event event_of(const fiber& f, kind what, const char* name = nullptr) noexcept {
    return {what, f.level_, {}, clock::now_ns(), name, &f, f.generation()};
}

}  // namespace

level trace_handler_begin(level l) noexcept {
    add(event(kind::begin, l, "handler"));
    return std::exchange(this_track, l);
}

void trace_handler_end(level before) noexcept {
    add(event(kind::end, std::exchange(this_track, before)));
}

void trace_operation(const operation_core* which, operation_state to) noexcept {
    add({kind::operation, level::normal, to, clock::now_ns(), nullptr, which, 0});
}

void trace_fiber_goes(const fiber& f) noexcept {
    add(event_of(f, kind::fiber_goes), f.name()[0] != '\0' ? &f : nullptr);
}

void trace_fiber_stops(const fiber& f) noexcept {
    add(event_of(f, f.idle() ? kind::fiber_ends : kind::fiber_waits));
}

}  // namespace rung::detail

namespace rung::trace {

using rung::detail::fiber;
using rung::detail::trace_registry;
using kind = rung::detail::trace_event::kind;

void start() {
    trace_registry::instance().forget();
    rung::detail::tracing.store(true, std::memory_order_relaxed);
}

void stop() noexcept { rung::detail::tracing.store(false, std::memory_order_relaxed); }

std::uint64_t dropped() noexcept {
    trace_registry& all = trace_registry::instance();
    const std::lock_guard lock(all.mutex);
    std::uint64_t n = 0;
    for (const auto& r : all.threads) {
        const std::lock_guard held(r->lock);
        n += r->dropped;
    }
    return n;
}

void span::begin(const char* name) noexcept {
    using namespace rung::detail;
    const fiber* const f = fiber::current();
    add(f != nullptr ? event_of(*f, kind::fiber_begin, name)
                     : event(kind::begin, this_track, name));
}

void span::end() noexcept {
    using namespace rung::detail;
    const fiber* const f = fiber::current();
    add(f != nullptr ? event_of(*f, kind::fiber_end) : event(kind::end, this_track));
}

}  // namespace rung::trace
