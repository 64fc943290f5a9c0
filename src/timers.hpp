#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <rung/detail/wait_operation.hpp>
#include <vector>

namespace rung::detail {

/// Timers by deadline: a hierarchical timing wheel in front of a heap.
///
/// Far deadlines lie unsorted in a wheel of 64 slots a level, so that arming and cancelling cost the
/// same whatever their number. As time reaches a slot its timers move a level down, and from the
/// lowest level, of 65 µs a slot, into a heap, which gives them back in the order of their deadlines
/// to the nanosecond. Slots and heap hold deadlines beside pointers, in arrays: with 100,000 timers,
/// following a list from one timer to the next would be a cache miss each. Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels",
/// SOSP 1987.
///
/// Pure logic, without a clock. Not thread-safe: guarded by the engine's lock.
class timers {
public:
    timers() = default;
    timers(const timers&) = delete;
    timers& operator=(const timers&) = delete;
    ~timers();

    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

    bool empty() const noexcept { return count_ == 0; }
    std::size_t size() const noexcept { return count_; }

    /// Makes room for one more timer; what `arm` then cannot fail for want of.
    void reserve();

    /// Adds a timer that stands nowhere. Precondition: `reserve()` since the last `arm`.
    void arm(timer_node& t) noexcept;

    /// Takes out a timer, if it stands somewhere.
    void disarm(timer_node& t) noexcept;

    /// Puts `to` in the place of `from`.
    void replace(timer_node& from, timer_node& to) noexcept;

    /// Takes out the timer with the earliest deadline at or before `now_ns`, or gives null.
    timer_node* expire(std::int64_t now_ns) noexcept;

    /// A time at or before the earliest deadline, at which `expire` is worth calling; or `never`.
    std::int64_t next_ns() const noexcept;

    /// Any timer, for taking them all out; or null.
    timer_node* any() const noexcept;

private:
    static constexpr unsigned tick_bits = 16;  // 65.5 µs
    static constexpr unsigned slot_bits = 6;
    static constexpr unsigned slots = 1U << slot_bits;
    static constexpr unsigned levels = 8;  // 2^64 ns

    struct entry {
        std::int64_t deadline_ns;
        timer_node* timer;
    };
    /// Room for timers of one slot; slots take them from a common stock and give them back.
    struct chunk {
        static constexpr std::uint32_t room = 31;
        chunk* next = nullptr;  // fuller, of the same slot; or in the stock
        std::uint32_t used = 0;
        std::array<entry, room> entries;
    };
    struct ring {
        std::uint64_t occupied = 0;  // a bit for each slot that is not empty
        std::array<chunk*, slots> slot{};
    };

    static std::uint64_t tick_of(std::int64_t ns) noexcept {
        return static_cast<std::uint64_t>(ns < 0 ? 0 : ns) >> tick_bits;
    }
    static unsigned level_of(std::uint64_t tick, std::uint64_t now_tick) noexcept;

    void insert(entry e) noexcept;
    bool push_slot(entry e, unsigned l, unsigned s) noexcept;
    void remove_from_slot(timer_node& t) noexcept;
    chunk* new_chunk() noexcept;
    void free_chunk(chunk* c) noexcept;
    void advance(std::uint64_t limit) noexcept;
    std::uint64_t next_slot_tick(unsigned& l, unsigned& s) const noexcept;

    void heap_push(entry e) noexcept;
    void heap_remove(std::size_t i) noexcept;
    void sift_up(std::size_t i, entry e) noexcept;
    void sift_down(std::size_t i, entry e) noexcept;
    void place(std::size_t i, entry e) noexcept {
        heap_[i] = e;
        e.timer->index = static_cast<std::uint32_t>(i);
    }

    std::uint64_t tick_ = 0;  // every timer of an earlier tick, or of this one, is in the heap
    std::size_t count_ = 0;
    std::vector<entry> heap_;
    std::array<ring, levels> wheel_;
    chunk* stock_ = nullptr;
};

}  // namespace rung::detail
