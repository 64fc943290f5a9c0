#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <rung/stack_pool.hpp>

namespace rung::detail {

class fiber;

/// Stacks of one size in one mapping, each above its guard page.
///
/// What is known of a stack lies beside the mapping, so that the memory of a stack may go back to
/// the system as a whole. Not thread-safe: guarded by the store's lock.
class stack_slab {
public:
    /// One stack.
    struct slot {
        /// The fiber that lives on it, also while it is idle. Written by whoever has the stack, or
        /// under the store's lock if nobody has; read under the lock.
        std::atomic<fiber*> prepared{nullptr};
        slot* next = nullptr;  // in a list of idle stacks
        stack_slab* slab = nullptr;
        bool in_use = false;
        std::size_t deepest = 0;  // bytes, when last looked at

        stack memory() const noexcept { return slab->memory_of(*this); }
    };

    /// Maps the memory. Throws `system_error`.
    stack_slab(stack_memory& source, std::size_t stack_size, std::size_t slots, bool guarded);
    ~stack_slab();
    stack_slab(const stack_slab&) = delete;
    stack_slab& operator=(const stack_slab&) = delete;

    /// A stack that was never handed out, or null. Throws `system_error` if it cannot be guarded.
    slot* grow();
    /// The stack that contains this address, or null.
    slot* find(const void* address) noexcept;
    /// Looks how deep the stack was used, and gives the bytes of it that are in memory.
    std::size_t measure(slot& s) noexcept;
    /// Lets go of a stack's memory.
    void release(slot& s) noexcept;

    slot* begin() noexcept { return slots_.get(); }
    slot* end() noexcept { return slots_.get() + grown_; }
    std::size_t stack_size() const noexcept { return stack_size_; }
    std::size_t mapped() const noexcept { return count_ * stride(); }

    std::size_t slots() const noexcept { return count_; }

    std::size_t busy = 0;        // stacks in use or warm
    slot* cold = nullptr;        // idle stacks whose memory was given back
    stack_slab* next = nullptr;  // of the store's list

private:
    std::size_t stride() const noexcept { return stack_size_ + guard_size_; }
    stack memory_of(const slot& s) const noexcept;
    void guard(char* page);

    stack_memory& source_;
    const std::size_t stack_size_;
    const std::size_t guard_size_;
    const std::size_t count_;
    char* base_;
    std::size_t grown_ = 0;
    std::size_t heavy_guards_ = 0;  // guard pages that took a mapping of their own
    std::unique_ptr<slot[]> slots_;
};

/// A page of the machine.
std::size_t page_size() noexcept;

}  // namespace rung::detail
