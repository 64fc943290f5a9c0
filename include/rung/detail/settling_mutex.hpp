#pragma once

#include <cstdint>
#include <rung/detail/biased_mutex.hpp>

namespace rung::detail {

/// A mutex that comes to belong to the thread that keeps taking it, for objects of which we are not
/// told who uses them.
///
/// Whoever has taken it `habit` times in a row owns it, and pays next to nothing from then on (see
/// `basic_biased_mutex`). Another thread ends that at the price of a barrier on every core, about
/// what `habit` uses of a plain mutex cost; after it the mutex is a plain one until somebody has
/// the habit again. So no pattern of use costs much more than twice the better of the two choices
/// would have. Source: A. Karlin, M. Manasse, L. Rudolph and D. Sleator, "Competitive Snoopy
/// Caching", 1988. Holders must not take another one meanwhile; the engine's lock they may.
class settling_mutex {
public:
    class guard {
    public:
        explicit guard(settling_mutex& m) noexcept : mutex_(m.mutex_), held_(m.lock()) {}
        ~guard() { mutex_.unlock(held_); }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;

    private:
        basic_biased_mutex<object_locks>& mutex_;
        basic_biased_mutex<object_locks>::held held_;
    };

private:
    using biased = basic_biased_mutex<object_locks>;
    static constexpr std::uint32_t habit = 64;

    biased::held lock() noexcept {
        if (mutex_.try_lock_as_owner()) [[likely]] {
            return biased::held::as_owner;
        }
        return lock_without_habit();
    }
    biased::held lock_without_habit() noexcept;

    biased mutex_;
    // Guarded by mutex_.
    const void* last_ = nullptr;      // the thread that took it last, without owning it
    std::uint32_t times_ = 0;         // in a row
    std::uint64_t borrows_seen_ = 0;  // of the biased mutex
};

}  // namespace rung::detail
