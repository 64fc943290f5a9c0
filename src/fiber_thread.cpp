/// What belongs to a thread, and to a context, that has fibers.

#include <cxxabi.h>

#include <atomic>
#include <utility>

#include "fiber.hpp"
#include "own_stacks.hpp"
#include "stack_store.hpp"

namespace rung::detail {

constinit thread_local fiber_thread this_fiber_thread{};

namespace {

/// Counts contexts with fibers that were destroyed, whose addresses may be used again.
std::atomic<std::uint64_t> epoch{0};

}  // namespace

void fiber_thread::open() {
    // Ours at the thread's end: idle fibers are for other threads then.
    struct at_exit {
        ~at_exit() {
            fiber_thread& t = this_fiber_thread;
            while (t.idle != nullptr) {
                fiber* const f = std::exchange(t.idle, static_cast<fiber*>(t.idle->next_));
                stack_pool::common().store().give(&f->slot());
            }
            t.idle_count = most_idle;  // what ends after this goes straight to the pool
        }
    };
    static thread_local at_exit guard;
    static_cast<void>(guard);
    if (signal_stacks_wanted.load(std::memory_order_relaxed)) {
        signal_stack::provide();
        has_signal_stack = true;
    }
    exceptions = reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

void fiber_service::ensure(boost::asio::execution_context& c, fiber_thread& t) {
    const std::uint64_t now = epoch.load(std::memory_order_acquire);
    if (t.serviced != &c || t.serviced_epoch != now) [[unlikely]] {
        boost::asio::use_service<fiber_service>(c);
        t.serviced = &c;
        t.serviced_epoch = now;
    }
}

void fiber_service::shutdown() {
    epoch.fetch_add(1, std::memory_order_release);
    // One that is unwound may end others' waits. Those go on in no loop: they are in the queue, which
    // is destroyed next. It may end other fibers, too, whose memory may be gone by now.
    std::vector<fiber*> waiting;
    const auto collect = [&](fiber& f) {
        if (f.waits_in(context())) {
            waiting.push_back(&f);
        }
    };
    stack_store::for_each_store([&](stack_store& s) { s.for_each_fiber(collect); });
    own_stacks::for_each_fiber(collect);
    for (fiber* const f : waiting) {
        const bool lives = stack_store::holds(*f) || own_stacks::hold(*f);
        if (lives && f->waits_in(context())) {
            f->unwind();
        }
    }
}

}  // namespace rung::detail
