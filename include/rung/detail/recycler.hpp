#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <rung/config.hpp>

namespace rung::detail {

/// Recycled memory for operations: size classes of 64 B to 2 KiB, a cache a thread.
///
/// Each thread holds two magazines (lists of free blocks) a class; full ones go to, and empty ones
/// are replaced from, a depot that all threads share. So a block costs a few instructions, one lock
/// in a magazine's worth of blocks when a thread frees what another allocates, and no `malloc` in
/// steady state. What a burst has left in the depot and nobody has needed for a second goes back to
/// the system bit by bit, while a loop has nothing to do. Source: J. Bonwick and J. Adams, "Magazines and Vmem", USENIX 2001.
class recycler {
public:
    static constexpr std::size_t smallest = 64;
    static constexpr std::size_t largest = 2048;
    static constexpr std::size_t classes = 6;
    /// What the depot keeps of a class at most; beyond it, blocks go back to the system.
    static constexpr std::size_t depot_limit_bytes = std::size_t{32} << 20;

    /// What the depot may keep for good, of all classes: a magazine has up to 16 KiB.
    static constexpr std::uint32_t depot_floor = 64;

    /// A block of at least `size` bytes, aligned as `operator new` aligns. Throws `std::bad_alloc`.
    static void* allocate(std::size_t size) {
#if !defined(RUNG_ASAN)
        if (size <= largest) [[likely]] {
            const std::size_t c = class_of(size);
            magazine& m = cache_.loaded[c];
            if (m.free != nullptr) [[likely]] {
                block* const b = m.free;
                m.free = b->next;
                --m.count;
                return b;
            }
            void* const p = refill(c);
            if (p == nullptr) [[unlikely]] {
                refuse();
            }
            return p;
        }
#endif
        return ::operator new(size);
    }

    /// Gives back a block that `allocate(size)` returned, on any thread.
    static void deallocate(void* p, [[maybe_unused]] std::size_t size) noexcept {
#if !defined(RUNG_ASAN)
        if (size <= largest) [[likely]] {
            const std::size_t c = class_of(size);
            magazine& m = cache_.loaded[c];
            if (m.count == capacity(c)) [[unlikely]] {
                return spill(p, c);
            }
            put(p, m);
            return;
        }
#endif
        ::operator delete(p);
    }

    /// The most blocks that a magazine of class `c` holds.
    static constexpr std::uint32_t capacity(std::size_t c) noexcept { return 256U >> c; }

    /// Whether the depot has more than it may keep for good, one load.
    static bool has_surplus() noexcept {
        return depot_magazines_.load(std::memory_order_relaxed) > depot_floor;
    }
    /// Gives some of what nobody needs back to the system: at most 1,024 blocks. To be called by a
    /// thread that has nothing to do. Gives the time at which to call again; that is far away once
    /// has_surplus() no longer holds.
    static std::int64_t give_back(std::int64_t now_ns) noexcept;

    /// Frees the calling thread's blocks, as the thread's exit does.
    static void flush() noexcept;

    /// Around a fork, so that the child finds the depots whole.
    static void lock_depots() noexcept;
    static void unlock_depots() noexcept;

private:
    struct block {
        block* next;
        block* next_magazine;  // in the depot, of a magazine's first block
    };
    struct magazine {
        block* free;
        std::uint32_t count;
    };
    /// A thread's magazines. Before the thread's first request and after its last they are closed:
    /// empty and yet counted as full, so that every request takes the slow path.
    struct thread_cache {
        std::array<magazine, classes> loaded = closed();
        std::array<magazine, classes> spare{};
        enum class state : std::uint8_t { fresh, open, ended } at = state::fresh;
    };
    struct depot;
    struct schedule;

    static std::size_t class_of(std::size_t size) noexcept {
        return static_cast<std::size_t>(std::bit_width((size - (size != 0 ? 1 : 0)) / smallest));
    }
    static constexpr std::array<magazine, classes> closed() noexcept {
        std::array<magazine, classes> all{};
        for (std::size_t c = 0; c < classes; ++c) {
            all[c].count = capacity(c);
        }
        return all;
    }
    /// A block from further away, or null. It does not throw: a call that may throw here makes
    /// compilers keep the handler in registers meanwhile and write it in halves; read whole soon
    /// after, it waits until they have left the store buffer, which cost a fifth of a post.
    static void* refill(std::size_t c) noexcept;
    [[noreturn, gnu::cold]] static void refuse();
    static void spill(void* p, std::size_t c) noexcept;
    static void put(void* p, magazine& m) noexcept {
        block* const b = ::new (p) block;
        b->next = m.free;
        m.free = b;
        ++m.count;
    }
    static depot& depot_of(std::size_t c) noexcept;
    static bool open_cache() noexcept;
    static void begin_period() noexcept;
    static block* take_surplus() noexcept;
    static void free_all(block* b) noexcept;

    /// Magazines in the depot, of all classes. Changed with the depot.
    static constinit std::atomic<std::uint32_t> depot_magazines_;
    static constinit thread_local thread_cache cache_;
};

/// An allocator over `recycler`; what handlers without an allocator of their own get.
template <class T>
struct recycling_allocator {
    using value_type = T;

    recycling_allocator() = default;
    template <class U>
    recycling_allocator(const recycling_allocator<U>&) noexcept {}

    T* allocate(std::size_t n) {
        if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
            return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{alignof(T)}));
        } else {
            return static_cast<T*>(recycler::allocate(n * sizeof(T)));
        }
    }
    void deallocate(T* p, std::size_t n) noexcept {
        if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
            ::operator delete (p, std::align_val_t{alignof(T)});
        } else {
            recycler::deallocate(p, n * sizeof(T));
        }
    }
    template <class U>
    bool operator==(const recycling_allocator<U>&) const noexcept {
        return true;
    }
};

/// `Allocator`, or `recycling_allocator` in place of the plain `std::allocator`.
template <class Allocator>
struct operation_allocator {
    static const Allocator& from(const Allocator& a) noexcept { return a; }
};
template <class T>
struct operation_allocator<std::allocator<T>> {
    static recycling_allocator<T> from(const std::allocator<T>&) noexcept { return {}; }
};

/// Builds an operation `Op` in memory of its handler's allocator.
template <class Op, class Allocator, class... Args>
Op* make_operation_node(const Allocator& a, Args&&... args) {
    using traits = typename std::allocator_traits<Allocator>::template rebind_traits<Op>;
    typename traits::allocator_type alloc(a);
    Op* const p = std::to_address(traits::allocate(alloc, 1));
    try {
        return ::new (static_cast<void*>(p)) Op(std::forward<Args>(args)...);
    } catch (...) {
        traits::deallocate(alloc, p, 1);
        throw;
    }
}

/// Ends an operation's life and frees its memory.
template <class Op, class Allocator>
void free_operation_node(Op* op, const Allocator& a) noexcept {
    using traits = typename std::allocator_traits<Allocator>::template rebind_traits<Op>;
    typename traits::allocator_type alloc(a);
    op->~Op();
    traits::deallocate(alloc, op, 1);
}

}  // namespace rung::detail
