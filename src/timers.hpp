#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <rung/detail/timer_heap.hpp>
#include <rung/detail/wait_operation.hpp>

namespace rung::detail {

/// Timers by deadline: a hierarchical timing wheel in front of a heap.
///
/// Far deadlines lie unsorted in the wheel, so that arming costs the same whatever their number. A
/// slot is emptied into the level below, and at the lowest level, of 65 µs a slot, into the heap,
/// which gives timers back in the order of their deadlines to the nanosecond.
///
/// A level spans two turns of 64 slots, so a slot may be emptied during the whole of the slot before
/// it: `expire` moves a bounded number of entries a call, and timers are still on time.
///
/// Disarming a `repeated` timer leaves its entry behind, and arming it again for a later
/// deadline only notes that: the entry finds its new place, or goes, when time reaches it. A timer
/// has one entry at most. Slots hold pointers in arrays: with 100,000 timers, following a list from
/// one timer to the next would be a cache miss each. Source: G. Varghese and T. Lauck, "Hashed and
/// Hierarchical Timing Wheels", SOSP 1987.
///
/// Pure logic, without a clock. Not thread-safe: guarded by the engine's lock.
class timers {
public:
    timers() = default;
    timers(const timers&) = delete;
    timers& operator=(const timers&) = delete;
    ~timers();

    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
    /// Entries that one call of `expire` moves at most.
    static constexpr std::uint64_t most_moves = 512;

    /// Of the timers that are armed.
    bool empty() const noexcept { return count_ == 0; }
    std::size_t size() const noexcept { return count_; }

    /// Makes room for one more timer; what `arm` then cannot fail for want of.
    void reserve();

    /// Arms a timer that is not armed. Precondition: `reserve()` since the last `arm`.
    void arm(timer_node& t) noexcept;

    /// Disarms a timer, if it is armed.
    void disarm(timer_node& t) noexcept;

    /// Disarms a timer, if it is armed, and removes its entry: it may be destroyed.
    void remove(timer_node& t) noexcept;

    /// Puts `to` in the place of `from`.
    void replace(timer_node& from, timer_node& to) noexcept;

    /// Takes out the timer with the earliest deadline at or before `now_ns`, or gives null; for want
    /// of such a timer, or because it has moved `most_moves` entries and is `behind`.
    timer_node* expire(std::int64_t now_ns) noexcept;

    /// Whether the last `expire` has left something undone that may be due.
    bool behind() const noexcept { return behind_; }

    /// A time at or before the earliest deadline, at which `expire` is worth calling; or `never`.
    std::int64_t next_ns() const noexcept;

    /// Any timer with an entry, for removing them all; or null.
    timer_node* any() const noexcept;

    /// Entries moved so far.
    std::uint64_t moves() const noexcept { return moves_; }

private:
    static constexpr unsigned tick_bits = 16;  // 65.5 µs
    static constexpr unsigned slot_bits = 6;
    static constexpr unsigned slots = 2U << slot_bits;  // of a level: this turn and the next
    static constexpr unsigned levels = 8;               // 2^64 ns
    static constexpr unsigned words = slots / 64;
    static constexpr std::uint64_t no_tick = std::numeric_limits<std::uint64_t>::max();
    /// Free chunks that are kept, 512 KiB.
    static constexpr std::size_t most_kept = 1024;
    /// So few entries are looked at one by one.
    static constexpr std::size_t few = 8;

    /// Room for timers of one slot; slots take them from a common stock and give them back.
    struct chunk {
        static constexpr std::uint32_t room = 62;
        chunk* next;  // fuller, of the same slot; or in the stock
        std::uint32_t used;
        std::array<timer_node*, room> entries;
    };
    struct ring {
        std::array<std::uint64_t, words> occupied{};  // a bit for each slot that is not empty
        std::array<chunk*, slots> slot{};
    };
    /// A slot that is not empty, by its level and its number since time began.
    struct position {
        unsigned level = 0;
        std::uint64_t number = 0;

        std::uint64_t start() const noexcept { return number << (level * slot_bits); }
        /// From when on it may be emptied: the start of the slot before it.
        std::uint64_t ready() const noexcept { return (number - 1) << (level * slot_bits); }
    };

    static std::uint64_t tick_of(std::int64_t ns) noexcept {
        return static_cast<std::uint64_t>(ns < 0 ? 0 : ns) >> tick_bits;
    }
    static std::int64_t ns_of(std::uint64_t tick) noexcept;
    std::uint64_t number_of(const timer_node& t) const noexcept;

    void insert(timer_node& t) noexcept;
    bool push_slot(timer_node& t, unsigned level, std::uint64_t tick) noexcept;
    void take_entry(timer_node& t) noexcept;
    void remove_from_slot(timer_node& t) noexcept;
    bool settle(timer_node& t) noexcept;
    bool first_slot(unsigned level, position& p) const noexcept;
    void empty_next_slot(std::uint64_t now_tick, std::uint64_t limit) noexcept;
    void empty_slot(position p, std::uint64_t limit) noexcept;
    std::int64_t earliest_ns() const noexcept;
    template <class Visit>
    bool visit_slots(Visit visit) const;

    chunk* new_chunk() noexcept;
    void free_chunk(chunk* c) noexcept;

    std::uint64_t tick_ = 0;  // every slot that starts then or earlier is empty
    // At or before when the first slot that is not empty may be emptied, and when it starts.
    std::uint64_t next_ready_ = no_tick;
    std::uint64_t next_start_ = no_tick;
    timer_heap<std::int64_t, std::less<>> heap_;
    std::size_t count_ = 0;    // timers armed
    std::size_t entries_ = 0;  // timers with an entry
    std::uint64_t moves_ = 0;
    bool behind_ = false;
    chunk* stock_ = nullptr;
    std::size_t kept_ = 0;               // chunks in the stock
    std::array<ring*, levels> wheel_{};  // made when first needed
};

}  // namespace rung::detail
