#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <rung/stack_pool.hpp>

#include "stack_slab.hpp"

namespace rung::detail {

/// What is behind a `stack_pool`: slabs of stacks, and those of them that are idle, per size class.
///
/// An idle stack is warm (its memory is kept, and maybe a fiber lives on it, parked and ready for
/// its next function) or cold. Thread-safe.
class stack_store {
public:
    using slot = stack_slab::slot;

    stack_store(const stack_pool_options& options, stack_memory* memory);
    ~stack_store();
    stack_store(const stack_store&) = delete;
    stack_store& operator=(const stack_store&) = delete;

    void configure(const stack_pool_options& options);

    /// A stack of that size or more; 0 stands for the default. A fiber may live on it. Throws as
    /// `stack_pool::allocate` does.
    slot* take(std::size_t size);
    /// The same without a fiber on it.
    slot* take_bare(std::size_t size);
    void give(slot* s) noexcept;
    /// The stack at this address, or null.
    slot* find(const void* address) noexcept;
    /// Whether the fiber still is on a stack of any store.
    static bool holds(const fiber& f) noexcept;
    void trim() noexcept;
    stack_statistics statistics();
    bool is_default(const slot& s) const noexcept { return s.slab->stack_size() == default_size_; }

    /// Calls `f(fiber&)` for each stack on which a fiber lives, idle or not, under the lock.
    template <class F>
    void for_each_fiber(F f) {
        const std::lock_guard lock(mutex_);
        for_each_slot([&](slot& s) {
            if (fiber* const lives = s.prepared.load(std::memory_order_acquire)) {
                f(*lives);
            }
        });
    }

    /// Calls `f(store&)` for every store of the process, under a lock.
    template <class F>
    static void for_each_store(F f) {
        const std::lock_guard lock(registry_mutex());
        for (stack_store* s = first_store(); s != nullptr; s = s->next_) {
            f(*s);
        }
    }

    /// Around a fork, so that the child finds every store whole.
    static void lock_all() noexcept;
    static void unlock_all() noexcept;

private:
    static constexpr std::size_t classes = 13;  // 16 KiB to 64 MiB
    static_assert(stack_pool::smallest << (classes - 1) == stack_pool::largest);

    struct size_class {
        slot* warm = nullptr;
        std::size_t warm_count = 0;
        stack_slab* slabs = nullptr;  // the newest first
        std::size_t slots = 0;        // in all slabs
    };

    static std::size_t class_of(std::size_t size);
    static std::mutex& registry_mutex() noexcept;
    static stack_store*& first_store() noexcept;
    using clock = std::chrono::steady_clock;

    slot* take_locked(std::size_t n);
    slot* take_cold(size_class& c, std::size_t stack_size);
    void discard_fiber(slot* s) noexcept;
    static bool is_idle(const slot& s) noexcept;
    void give_back_own_idle() noexcept;
    bool is_full() noexcept;
    void refuse_if_full();
    stack_slab* add_slab(size_class& c, std::size_t stack_size);
    void cool(slot* s) noexcept;
    void keep_at_most(std::size_t keep) noexcept;
    void drop_idle_slabs(size_class& c) noexcept;
    template <class F>
    void for_each_slot(F f) {
        for (size_class& c : classes_) {
            for (stack_slab* slab = c.slabs; slab != nullptr; slab = slab->next) {
                for (slot& s : *slab) {
                    f(s);
                }
            }
        }
    }

    std::mutex mutex_;
    stack_memory own_memory_;
    stack_memory& memory_;
    const std::size_t default_size_;
    // Guarded by mutex_.
    stack_pool_options options_;
    std::array<size_class, classes> classes_;
    std::size_t taken_ = 0;
    std::size_t most_taken_ = 0;
    std::size_t deepest_ = 0;
    std::uint64_t released_ = 0;
    std::uint64_t refused_ = 0;
    std::size_t cached_ = 0;        // stacks that threads kept idle when last counted
    clock::time_point count_at_{};  // not before that again
    // Guarded by the registry's lock.
    stack_store* next_ = nullptr;
};

}  // namespace rung::detail
