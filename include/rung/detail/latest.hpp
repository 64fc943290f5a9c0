#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <type_traits>

namespace rung::detail {

/// Types that one atomic access moves.
template <class T>
concept atomic_at_once = std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t) &&
                         (sizeof(T) & (sizeof(T) - 1)) == 0;

/// The latest value that one thread wrote, for any number of threads to read without waiting.
///
/// Values of up to 8 bytes are one atomic. Larger ones lie in four slots, of which one is current.
/// A reader of a trivially copyable value copies the current slot and looks whether it still is the
/// current one; if not, and for every other type, it pins the slot first by counting itself in the
/// word that names it, so that the copy cannot fail. A reader therefore ends in a bounded number
/// of steps. The writer takes a slot that nobody pins; it waits only while three readers are
/// stopped in the middle of copying three different older values. The two halves of the count are
/// those of a split reference count: readers count themselves in where the slot is named and out in
/// the slot; a slot is free when the two agree.
template <class T>
class latest {
    static constexpr bool trivial = std::is_trivially_copyable_v<T>;
    static constexpr std::size_t slots = 4;
    // The word: 2 bits of index, 38 of generation, 24 of readers, which overflow harmlessly.
    static constexpr unsigned reader_shift = 40;
    static constexpr std::uint64_t one_reader = std::uint64_t{1} << reader_shift;
    static constexpr std::uint64_t publication_mask = one_reader - 1;
    static constexpr std::uint32_t count_mask = (1U << (64 - reader_shift)) - 1;

    static constexpr std::size_t words = (sizeof(T) + 7) / 8;
    using bytes = std::array<std::atomic<std::uint64_t>, words>;

    struct slot {
        std::conditional_t<trivial, bytes, T> value{};
        std::atomic<std::uint32_t> left{0};  // readers that have counted themselves out
        std::uint32_t entered = 0;           // and in, up to when it was last current; writer only
    };

public:
    latest() { write(slots_[0], T{}); }

    /// One thread at a time.
    void store(T value) {
        const std::size_t own = current_.load(std::memory_order_relaxed) % slots;
        const std::size_t i = free_slot(own);
        write(slots_[i], std::move(value));
        ++generation_;
        const std::uint64_t named = ((generation_ * slots) & publication_mask) | i;
        // Releases the value; acquires what the readers of the old slot did before they left it.
        const std::uint64_t before = current_.exchange(named, std::memory_order_acq_rel);
        slots_[own].entered += static_cast<std::uint32_t>(before >> reader_shift);
    }

    /// Any thread.
    T load() const {
        if constexpr (trivial) {
            const std::uint64_t before = current_.load(std::memory_order_acquire);
            const T copy = read(slots_[before % slots]);
            // A word of a later value would have brought with it that the slot was given up.
            const std::uint64_t after = current_.load(std::memory_order_relaxed);
            if (((before ^ after) & publication_mask) == 0) [[likely]] {
                return copy;
            }
        }
        const pin held(*this);
        return read(held.at);
    }

private:
    struct pin {
        explicit pin(const latest& l) noexcept
            : at(l.slots_[l.current_.fetch_add(one_reader, std::memory_order_acquire) % slots]) {}
        pin(const pin&) = delete;
        pin& operator=(const pin&) = delete;
        ~pin() { at.left.fetch_add(1, std::memory_order_release); }  // pairs with free_slot
        slot& at;
    };

    std::size_t free_slot(std::size_t current) const noexcept {
        for (;;) {
            for (std::size_t i = 0; i < slots; ++i) {
                const slot& s = slots_[i];
                const std::uint32_t inside = s.entered - s.left.load(std::memory_order_acquire);
                if (i != current && (inside & count_mask) == 0) {
                    return i;
                }
            }
            std::this_thread::yield();
        }
    }
    static void write(slot& s, T value) {
        if constexpr (trivial) {
            std::array<std::uint64_t, words> plain{};
            std::memcpy(plain.data(), &value, sizeof value);
            for (std::size_t i = 0; i < words; ++i) {
                s.value[i].store(plain[i], std::memory_order_release);
            }
        } else {
            s.value = std::move(value);
        }
    }
    static T read(const slot& s) {
        if constexpr (trivial) {
            std::array<std::uint64_t, words> plain;
            for (std::size_t i = 0; i < words; ++i) {
                plain[i] = s.value[i].load(std::memory_order_acquire);
            }
            T value;
            std::memcpy(static_cast<void*>(&value), plain.data(), sizeof value);
            return value;
        } else {
            return s.value;
        }
    }

    mutable std::array<slot, slots> slots_;
    mutable std::atomic<std::uint64_t> current_{0};
    std::uint64_t generation_ = 0;  // writer only
};

template <atomic_at_once T>
class latest<T> {
public:
    void store(T value) noexcept { value_.store(value, std::memory_order_release); }
    T load() const noexcept { return value_.load(std::memory_order_acquire); }

private:
    std::atomic<T> value_{T{}};
};

template <>
class latest<void> {};

}  // namespace rung::detail
