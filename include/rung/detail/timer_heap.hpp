#pragma once

#include <cstddef>
#include <cstdint>
#include <rung/detail/wait_operation.hpp>
#include <utility>
#include <vector>

namespace rung::detail {

/// A binary heap of timers, each of which knows its index. Keys lie beside the pointers, so that
/// comparing them does not touch the timers. Owns nothing.
template <class Key, class Less>
class timer_heap {
public:
    struct entry {
        Key key;
        timer_node* timer;
    };

    bool empty() const noexcept { return entries_.empty(); }
    std::size_t size() const noexcept { return entries_.size(); }
    std::size_t capacity() const noexcept { return entries_.capacity(); }
    void reserve(std::size_t n) { entries_.reserve(n); }

    /// The entry with the least key. Precondition: not empty().
    const entry& front() const noexcept { return entries_.front(); }
    const entry& operator[](std::size_t i) const noexcept { return entries_[i]; }

    /// Precondition: size() < capacity().
    void push(Key key, timer_node& t) noexcept {
        t.at = timer_node::place::heap;
        entries_.push_back({key, &t});
        sift_up(entries_.size() - 1, {std::move(key), &t});
    }

    void remove(timer_node& t) noexcept {
        const std::size_t i = t.index;
        t.at = timer_node::place::none;
        const entry last = std::move(entries_.back());
        entries_.pop_back();
        if (i == entries_.size()) {
            return;
        }
        if (i > 0 && Less{}(last.key, entries_[(i - 1) / 2].key)) {
            sift_up(i, last);
        } else {
            sift_down(i, last);
        }
    }

    /// Moves a timer of the heap up to an earlier key.
    void bring_forward(timer_node& t, Key key) noexcept { sift_up(t.index, {std::move(key), &t}); }

    /// Puts `to` in the place of `from`. The caller copies the index.
    void replace(std::size_t i, timer_node& to) noexcept { entries_[i].timer = &to; }

private:
    void place(std::size_t i, entry e) noexcept {
        e.timer->index = static_cast<std::uint32_t>(i);
        entries_[i] = std::move(e);
    }

    void sift_up(std::size_t i, entry e) noexcept {
        while (i > 0) {
            const std::size_t parent = (i - 1) / 2;
            if (!Less{}(e.key, entries_[parent].key)) {
                break;
            }
            place(i, entries_[parent]);
            i = parent;
        }
        place(i, std::move(e));
    }

    void sift_down(std::size_t i, entry e) noexcept {
        for (;;) {
            std::size_t child = 2 * i + 1;
            if (child >= entries_.size()) {
                break;
            }
            if (child + 1 < entries_.size() &&
                Less{}(entries_[child + 1].key, entries_[child].key)) {
                ++child;
            }
            if (!Less{}(entries_[child].key, e.key)) {
                break;
            }
            place(i, entries_[child]);
            i = child;
        }
        place(i, std::move(e));
    }

    std::vector<entry> entries_;
};

}  // namespace rung::detail
