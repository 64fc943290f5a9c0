#pragma once

/// The switch between a thread's stack and a fiber's, and who has to be told of it.

#include <rung/config.hpp>

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
#define RUNG_SWITCHES_STACKS __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

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

namespace rung::detail {

#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
#define RUNG_INLINE_SWITCH RUNG_SWITCHES_STACKS
#else
#define RUNG_INLINE_SWITCH [[gnu::always_inline]]
#endif

/// From the thread's stack (or another fiber's) to this fiber's, until it leaves.
RUNG_INLINE_SWITCH inline void fiber::enter() {
    // What the thread throws and handles stays with its stack, and the fiber brings its own.
    exception_state& running = *this_fiber_thread.exceptions;
    const exception_state outer = running;
    if (throws_ || outer.any()) [[unlikely]] {
        running = exceptions_;
    }
    void* fake = nullptr;
#if defined(RUNG_ASAN)
    const stack m = slot_->memory();
    switching::departing(&fake, m.bottom, m.size);
#endif
    tsan_caller_ = switching::current_fiber();
    switching::jump_to(tsan_fiber_);
    context_ = switch_stack(context_, this).fctx;
    switching::arrived(fake, nullptr, nullptr);
    if (throws_ || running.any() || outer.any()) [[unlikely]] {
        exceptions_ = running;
        throws_ = running.any();
        running = outer;
    }
}

/// Back to what runs the fiber. Nothing here or after it may look at the thread: the fiber may go on
/// on another one.
RUNG_INLINE_SWITCH inline void fiber::leave([[maybe_unused]] bool for_good) noexcept {
    switching::departing(for_good ? nullptr : &fake_stack_, caller_stack_, caller_stack_size_);
    switching::jump_to(tsan_caller_);
    caller_ = switch_stack(caller_, nullptr).fctx;
    switching::arrived(for_good ? nullptr : fake_stack_, &caller_stack_, &caller_stack_size_);
}

}  // namespace rung::detail
