#pragma once

/// The switch between a thread's stack and a fiber's, and who has to be told of it.

#include <rung/config.hpp>
#include <rung/trace.hpp>
#include <utility>

#include "fiber.hpp"

#if defined(RUNG_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(RUNG_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define RUNG_VALGRIND 1
#endif

// A function that changes the stack keeps nothing where a sanitizer would move it to.
#define RUNG_SWITCHES_STACKS \
    __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

namespace rung::detail::switching {

/// To be called before a jump to another stack; `fake` null: this one will not be used again.
inline void departing([[maybe_unused]] void** fake, [[maybe_unused]] const void* bottom,
                      [[maybe_unused]] std::size_t size) noexcept {
#if defined(RUNG_ASAN)
    __sanitizer_start_switch_fiber(fake, bottom, size);
#endif
}

/// To be called first on the other side; tells which stack was left.
inline void arrived([[maybe_unused]] void* fake, [[maybe_unused]] const void** bottom,
                    [[maybe_unused]] std::size_t* size) noexcept {
#if defined(RUNG_ASAN)
    __sanitizer_finish_switch_fiber(fake, bottom, size);
#endif
}

inline void* create_fiber() noexcept {
#if defined(RUNG_TSAN)
    return __tsan_create_fiber(0);
#else
    return nullptr;
#endif
}

inline void destroy_fiber([[maybe_unused]] void* f) noexcept {
#if defined(RUNG_TSAN)
    __tsan_destroy_fiber(f);
#endif
}

inline void* current_fiber() noexcept {
#if defined(RUNG_TSAN)
    return __tsan_get_current_fiber();
#else
    return nullptr;
#endif
}

inline void jump_to([[maybe_unused]] void* f) noexcept {
#if defined(RUNG_TSAN)
    __tsan_switch_to_fiber(f, 0);
#endif
}

inline unsigned register_stack([[maybe_unused]] void* bottom, [[maybe_unused]] void* top) noexcept {
#if defined(RUNG_VALGRIND)
    return VALGRIND_STACK_REGISTER(bottom, top);
#else
    return 0;
#endif
}

inline void forget_stack([[maybe_unused]] unsigned id) noexcept {
#if defined(RUNG_VALGRIND)
    VALGRIND_STACK_DEREGISTER(id);
#endif
}

/// What lay on a stack that is given back must not be held against its next user.
inline void clean_stack([[maybe_unused]] void* bottom, [[maybe_unused]] std::size_t size) noexcept {
#if defined(RUNG_ASAN)
    __asan_unpoison_memory_region(bottom, size);
#endif
}

}  // namespace rung::detail::switching

#if defined(RUNG_ASAN) || defined(RUNG_TSAN) || defined(RUNG_FCONTEXT)
#define RUNG_WATCHED_SWITCH 1
#endif

namespace rung::detail {

#if defined(RUNG_WATCHED_SWITCH)

// Somebody has to be told before and after each switch, or the switch itself needs a hand.

RUNG_SWITCHES_STACKS inline void fiber::jump_in(fiber_thread& t) {
    void* fake = nullptr;
    const stack m = memory();
    switching::departing(&fake, m.bottom, m.size);
    tsan_caller_ = switching::current_fiber();
    switching::jump_to(tsan_fiber_);
    switch_stack(&t.caller, context_);
    switching::arrived(fake, nullptr, nullptr);
    if (std::exchange(must_see_to_it_, false)) {
        see_to_it(this);
    }
}

RUNG_SWITCHES_STACKS inline void fiber::jump_out(void* caller, bool see_to_it_there) {
    must_see_to_it_ = see_to_it_there;
    const bool for_good = idle();
    switching::departing(for_good ? nullptr : &fake_stack_, caller_stack_, caller_stack_size_);
    switching::jump_to(tsan_caller_);
    switch_stack(&context_, caller);
    switching::arrived(for_good ? nullptr : fake_stack_, &caller_stack_, &caller_stack_size_);
    if (unwinding()) {
        throw_if_unwinding();
    }
}

#else

[[gnu::always_inline]] inline void fiber::jump_in(fiber_thread& t) {
    if (unwinding()) [[unlikely]] {
        switch_stack_then(&t.caller, context_, &fiber::throw_unwinding, this);
    } else {
        switch_stack(&t.caller, context_);
    }
}

[[gnu::always_inline]] inline void fiber::jump_out(void* caller, bool see_to_it_there) {
    if (see_to_it_there) [[unlikely]] {
        switch_stack_then(&context_, caller, &fiber::see_to_it, this);
    } else {
        switch_stack(&context_, caller);
    }
}

#endif

/// Goes over to the fiber's stack until it leaves that. The last thing that a caller does.
[[gnu::always_inline]] inline void fiber::enter() {
    fiber_thread& t = this_fiber_thread;
    if (t.exceptions == nullptr) [[unlikely]] {
        t.open();
    }
    status_.store(status::running, std::memory_order_relaxed);
    if (t.current != nullptr || throws_ || t.exceptions->any()) [[unlikely]] {
        set_outer_aside(t);
    }
    t.current = this;
    if (is_traced()) [[unlikely]] {
        trace_fiber_goes(*this);
    }
    jump_in(t);
}

/// Goes back to what runs the fiber. The last thing that a caller does: the fiber may go on on
/// another thread, or not at all.
[[gnu::always_inline]] inline void fiber::leave() {
    fiber_thread& t = this_fiber_thread;
    void* const caller = t.caller;
    if (is_traced()) [[unlikely]] {
        trace_fiber_stops(*this);
    }
    if (has_outer_ || t.exceptions->any()) [[unlikely]] {
        bring_outer_back(t);
    } else {
        t.current = nullptr;
    }
    jump_out(caller, !counted_ || engine_ == nullptr);
}

[[gnu::always_inline]] inline void fiber::yield() {
    if (course_ != course::plain) [[unlikely]] {
        refuse_to_wait();
    }
    status_.store(status::ready, std::memory_order_relaxed);
    if (engine_ != nullptr) [[likely]] {
        engine::post(*engine_, this);
    }
    leave();
}

[[gnu::always_inline]] inline void fiber::begin_wait() {
    if (course_ != course::plain) [[unlikely]] {
        refuse_to_wait();
    }
    course_ = course::starting;
    // An operation that ended, and whose starting threw nevertheless, may have left this behind.
    woken_ = false;
    dropped_ = false;
    if (engine_ == nullptr) [[unlikely]] {
        handshake_.store(handshake::running, std::memory_order_relaxed);
    }
}

/// Ends the wait, from whichever thread. The last thing that a caller does, if it is to be fast.
[[gnu::always_inline]] inline void fiber::wake() {
    if (engine_ == nullptr) [[unlikely]] {
        wake_elsewhere();
        return;
    }
    if (home_ != &this_thread_state) [[unlikely]] {
        queue();
        return;
    }
    if (status_.load(std::memory_order_relaxed) == status::running) {
        woken_ = true;  // within the function that starts the operation
        return;
    }
    const thread_state* const here = this_thread_state;
    if (current() == nullptr && here != nullptr && here->running == engine_ && here->runs_handlers)
        [[likely]] {
        enter();
    } else {
        queue();
    }
}

[[gnu::always_inline]] inline void fiber::take_turn() {
    if (course_ != course::plain) [[unlikely]] {
        refuse_to_wait();
    }
    if (++at_once_ == most_at_once) [[unlikely]] {
        at_once_ = 0;
        yield();
    }
}

[[gnu::always_inline]] inline void fiber::suspend() {
    course_ = course::plain;
    if (woken_ ||
        (engine_ == nullptr && handshake_.load(std::memory_order_acquire) == handshake::woken)) {
        woken_ = false;
        if (dropped_) [[unlikely]] {
            course_ = course::unwinding;
            throw_if_unwinding();
        }
        take_turn();
        return;
    }
    status_.store(status::waiting, std::memory_order_relaxed);
    leave();
}

}  // namespace rung::detail
