#pragma once

#include <cstddef>

#if defined(RUNG_FCONTEXT)
#include <boost/context/detail/fcontext.hpp>
#elif !defined(__x86_64__)
#error "Build with -DRUNG_FCONTEXT=ON: rung switches stacks by itself on x86-64 only"
#endif

/// The jump from one stack to another, and nothing else.
///
/// The floating-point environment stays as it is: saving its control words takes as long as all the
/// rest twice over, and code that changes them for longer than a call is rare.
namespace rung::detail {

#if defined(RUNG_FCONTEXT)

namespace fcontext = boost::context::detail;

/// Leaves this stack, noting in `from` where it goes on, and goes on where `to` was left.
inline void switch_stack(void** from, void* to) noexcept {
    const fcontext::transfer_t there = fcontext::jump_fcontext(to, from);
    *static_cast<void**>(there.data) = there.fctx;
}

/// A stack on which `switch_stack` may go on: with `entry`, which must not return.
template <void (*Entry)()>
void* make_stack(void* top, std::size_t size) noexcept {
    return fcontext::make_fcontext(top, size, [](fcontext::transfer_t there) {
        *static_cast<void**>(there.data) = there.fctx;
        Entry();
    });
}

#else

// What is saved, and what the unwinder has to know of it: `after` may throw.
#define RUNG_SAVE(r) "pushq %" r "\n\t.cfi_adjust_cfa_offset 8\n\t.cfi_rel_offset " r ", 0\n\t"
#define RUNG_RESTORE(r) "popq %" r "\n\t.cfi_adjust_cfa_offset -8\n\t.cfi_restore " r "\n\t"
#define RUNG_SAVE_ALL \
    RUNG_SAVE("rbp")  \
    RUNG_SAVE("rbx") RUNG_SAVE("r12") RUNG_SAVE("r13") RUNG_SAVE("r14") RUNG_SAVE("r15")
#define RUNG_RESTORE_ALL                                                            \
    RUNG_RESTORE("r15")                                                             \
    RUNG_RESTORE("r14") RUNG_RESTORE("r13") RUNG_RESTORE("r12") RUNG_RESTORE("rbx") \
        RUNG_RESTORE("rbp")
// The processor foretells where a `ret` goes from the calls before it, and those were another
// stack's. So this returns by a jump, and saves some 5 ns. For the same reason callers are to end
// with the switch: then the compiler makes their call of it a jump, and no `ret` of theirs follows.
#define RUNG_RETURN "popq %rcx\n\t.cfi_adjust_cfa_offset -8\n\tjmpq *%rcx"

/// Leaves this stack, noting in `from` where it goes on, and goes on where `to` was left.
[[gnu::naked, gnu::noinline]] inline void switch_stack([[maybe_unused]] void** from,
                                                       [[maybe_unused]] void* to) noexcept {
    asm(RUNG_SAVE_ALL
        "movq %rsp, (%rdi)\n\t"
        "movq %rsi, %rsp\n\t" RUNG_RESTORE_ALL RUNG_RETURN);
}

/// The same, but on the other stack `after(argument)` is called first. What it throws is thrown
/// where that stack was left.
[[gnu::naked, gnu::noinline]] inline void switch_stack_then([[maybe_unused]] void** from,
                                                            [[maybe_unused]] void* to,
                                                            [[maybe_unused]] void (*after)(void*),
                                                            [[maybe_unused]] void* argument) {
    asm(RUNG_SAVE_ALL
        "movq %rsp, (%rdi)\n\t"
        "movq %rsi, %rsp\n\t"
        "movq %rcx, %rdi\n\t"
        "subq $8, %rsp\n\t"
        ".cfi_adjust_cfa_offset 8\n\t"
        "callq *%rdx\n\t"
        "addq $8, %rsp\n\t"
        ".cfi_adjust_cfa_offset -8\n\t" RUNG_RESTORE_ALL RUNG_RETURN);
}

/// Where a new stack begins: calls the function in r12. Nothing is above it, which debuggers and
/// unwinders are told.
[[gnu::naked, gnu::noinline]] inline void begin_stack() {
    asm(".cfi_undefined rip\n\t"
        "callq *%r12\n\t"
        "ud2");
}

#undef RUNG_SAVE
#undef RUNG_RESTORE
#undef RUNG_SAVE_ALL
#undef RUNG_RESTORE_ALL
#undef RUNG_RETURN

/// A stack on which `switch_stack` may go on: with `entry`, which must not return.
template <void (*Entry)()>
void* make_stack(void* top, std::size_t) noexcept {
    constexpr std::size_t saved = 7;  // r15 r14 r13 r12 rbx rbp rip
    constexpr std::size_t r12 = 3;
    constexpr std::size_t rip = 6;
    auto** const sp = static_cast<void**>(top) - 2 - saved;  // aligned, once all is restored
    for (std::size_t i = 0; i < saved; ++i) {
        sp[i] = nullptr;
    }
    sp[r12] = reinterpret_cast<void*>(Entry);
    sp[rip] = reinterpret_cast<void*>(&begin_stack);
    return sp;
}

#endif

}  // namespace rung::detail
