#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <rung/detail/io_operation.hpp>
#include <vector>

namespace rung::detail {

/// The operations that have an entry in the ring, so that the child of a fork finds them.
///
/// A place is taken from a list of free ones, which lies in the places themselves: each change is
/// two stores. Guarded by the engine's lock.
class entry_table {
public:
    /// Without memory for a place the operation goes without, and `take_any` misses it.
    void add(io_operation& op) noexcept {
        if (free_ == places_.size() && !grow()) [[unlikely]] {
            op.place = none;
            return;
        }
        op.place = free_;
        free_ = places_[free_].next_free;
        places_[op.place].op = &op;
    }
    void remove(const io_operation& op) noexcept {
        if (op.place != none) [[likely]] {
            places_[op.place] = {nullptr, free_};
            free_ = op.place;
        }
    }

    /// Calls `f(op)` for each of them; `f` may remove it.
    template <class F>
    void for_each(F f) {
        for (std::size_t i = 0; i < places_.size(); ++i) {
            if (io_operation* const op = places_[i].op) {
                f(*op);
            }
        }
    }

private:
    static constexpr std::uint32_t none = UINT32_MAX;

    struct place {
        io_operation* op;         // null: the place is free
        std::uint32_t next_free;  // of a free place; the number of places: there is none
    };

    bool grow() noexcept {
        const std::size_t more = places_.empty() ? 64 : places_.size();
        try {
            places_.reserve(places_.size() + more);
        } catch (const std::bad_alloc&) {
            return false;
        }
        for (std::size_t i = 0; i < more; ++i) {
            places_.push_back({nullptr, static_cast<std::uint32_t>(places_.size() + 1)});
        }
        return true;
    }

    std::vector<place> places_;
    std::uint32_t free_ = 0;
};

}  // namespace rung::detail
