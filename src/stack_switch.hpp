#pragma once

#include <cstddef>

#if defined(RUNG_FCONTEXT)
#include <boost/context/detail/fcontext.hpp>
#elif !defined(__x86_64__)
#error "Build with -DRUNG_FCONTEXT=ON: rung switches stacks by itself on x86-64 only"
#endif

/// The jump from one stack to another, and nothing else.
namespace rung::detail {

#if defined(RUNG_FCONTEXT)

/// Where a jump came from, and what it brought.
using arrival = boost::context::detail::transfer_t;

inline arrival switch_stack(void* to, void* data) noexcept {
    return boost::context::detail::jump_fcontext(to, data);
}

/// A stack that `switch_stack` may jump to: `entry` is called on it and must not return.
inline void* make_stack(void* top, std::size_t size, void (*entry)(arrival)) noexcept {
    return boost::context::detail::make_fcontext(top, size, entry);
}

#else

/// Where a jump came from, and what it brought.
struct arrival {
    void* fctx;
    void* data;
};

/// Leaves the registers that a call preserves on the stack, and goes on where `to` was left.
///
/// The floating-point environment stays as it is: saving its control words takes as long as all the
/// rest twice over, and code that changes them for longer than a call is rare. The jump at the end is
/// no `ret`, which the processor would predict to return to the caller.
[[gnu::naked, gnu::noinline]] inline arrival switch_stack([[maybe_unused]] void* to,
                                                          [[maybe_unused]] void* data) noexcept {
    asm("pushq %rbp\n\t"
        "pushq %rbx\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "movq %rsp, %rax\n\t"
        "movq %rdi, %rsp\n\t"
        "movq %rsi, %rdx\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "popq %rcx\n\t"
        "jmp *%rcx");
}

/// Where a new stack begins: hands what the jump brought to the function in r12. Nothing is above it,
/// which debuggers and unwinders are told.
[[gnu::naked, gnu::noinline]] inline void begin_stack() noexcept {
    asm(".cfi_undefined rip\n\t"
        "movq %rax, %rdi\n\t"
        "movq %rdx, %rsi\n\t"
        "callq *%r12\n\t"
        "ud2");
}

/// A stack that `switch_stack` may jump to: `entry` is called on it and must not return.
inline void* make_stack(void* top, std::size_t, void (*entry)(arrival)) noexcept {
    constexpr std::size_t registers = 7;  // r15 r14 r13 r12 rbx rbp rip
    constexpr std::size_t r12 = 3;
    constexpr std::size_t rip = 6;
    auto** const sp = static_cast<void**>(top) - 2 - registers;  // rip is followed by 16 zero bytes
    for (std::size_t i = 0; i < registers + 2; ++i) {
        sp[i] = nullptr;
    }
    sp[r12] = reinterpret_cast<void*>(entry);
    sp[rip] = reinterpret_cast<void*>(&begin_stack);
    return sp;
}

#endif

}  // namespace rung::detail
