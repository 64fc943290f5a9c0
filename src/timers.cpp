#include "timers.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace rung::detail {

void timers::reserve() {
    // All timers may end up in the heap at once, and moving them there must not fail.
    if (heap_.capacity() <= count_) {
        heap_.reserve(std::max<std::size_t>(64, 2 * heap_.capacity()));
    }
}

unsigned timers::level_of(std::uint64_t tick, std::uint64_t now_tick) noexcept {
    // The highest digit, in base 64, in which the two differ.
    const auto highest_bit = static_cast<unsigned>(std::bit_width(tick ^ now_tick)) - 1;
    return highest_bit / slot_bits;
}

void timers::arm(timer_node& t) noexcept {
    ++count_;
    insert(t);
}

void timers::insert(timer_node& t) noexcept {
    const std::uint64_t tick = tick_of(t.deadline_ns);
    if (tick <= tick_) {
        heap_push(t);
        return;
    }
    const unsigned l = level_of(tick, tick_);
    push_slot(t, l, static_cast<unsigned>(tick >> (l * slot_bits)) % slots);
}

void timers::push_slot(timer_node& t, unsigned l, unsigned s) noexcept {
    ring& r = wheel_[l];
    t.at = timer_node::place::wheel;
    t.wheel_level = static_cast<std::uint8_t>(l);
    t.slot = static_cast<std::uint8_t>(s);
    t.previous = nullptr;
    t.next = r.slot[s];
    if (t.next != nullptr) {
        t.next->previous = &t;
    }
    r.slot[s] = &t;
    r.occupied |= std::uint64_t{1} << s;
}

void timers::unlink_slot(timer_node& t) noexcept {
    ring& r = wheel_[t.wheel_level];
    if (t.previous != nullptr) {
        t.previous->next = t.next;
    } else {
        r.slot[t.slot] = t.next;
        if (t.next == nullptr) {
            r.occupied &= ~(std::uint64_t{1} << t.slot);
        }
    }
    if (t.next != nullptr) {
        t.next->previous = t.previous;
    }
}

void timers::disarm(timer_node& t) noexcept {
    switch (std::exchange(t.at, timer_node::place::none)) {
        case timer_node::place::none:
            return;
        case timer_node::place::heap:
            heap_remove(t.heap_index);
            break;
        case timer_node::place::wheel:
            unlink_slot(t);
            break;
    }
    --count_;
}

void timers::replace(timer_node& from, timer_node& to) noexcept {
    to.at = std::exchange(from.at, timer_node::place::none);
    to.wheel_level = from.wheel_level;
    to.slot = from.slot;
    to.heap_index = from.heap_index;
    to.next = from.next;
    to.previous = from.previous;
    if (to.at == timer_node::place::heap) {
        heap_[to.heap_index].timer = &to;
    } else if (to.at == timer_node::place::wheel) {
        (to.previous != nullptr ? to.previous->next : wheel_[to.wheel_level].slot[to.slot]) = &to;
        if (to.next != nullptr) {
            to.next->previous = &to;
        }
    }
}

timer_node* timers::expire(std::int64_t now_ns) noexcept {
    if (const std::uint64_t tick = tick_of(now_ns); tick > tick_) {
        advance(tick);
    }
    if (heap_.empty() || heap_.front().deadline_ns > now_ns) {
        return nullptr;
    }
    timer_node* const t = heap_.front().timer;
    disarm(*t);
    return t;
}

void timers::advance(std::uint64_t tick) noexcept {
    for (;;) {
        unsigned l = 0;
        unsigned s = 0;
        const std::uint64_t next = next_slot_tick(l, s);
        if (next > tick) {
            break;
        }
        // Time stands at the slot's beginning while its timers find their new places.
        tick_ = next;
        ring& r = wheel_[l];
        timer_node* t = std::exchange(r.slot[s], nullptr);
        r.occupied &= ~(std::uint64_t{1} << s);
        while (t != nullptr) {
            insert(*std::exchange(t, t->next));
        }
    }
    tick_ = tick;
}

std::uint64_t timers::next_slot_tick(unsigned& l, unsigned& s) const noexcept {
    for (l = 0; l < levels; ++l) {
        const unsigned here = static_cast<unsigned>(tick_ >> (l * slot_bits)) % slots;
        // A level holds only what lies ahead of now within one turn of the level above.
        const std::uint64_t ahead =
            here + 1 < slots ? wheel_[l].occupied & (~std::uint64_t{0} << (here + 1)) : 0;
        if (ahead != 0) {
            s = static_cast<unsigned>(std::countr_zero(ahead));
            const std::uint64_t turn = tick_ >> ((l + 1) * slot_bits) << ((l + 1) * slot_bits);
            return turn | (std::uint64_t{s} << (l * slot_bits));
        }
    }
    return std::numeric_limits<std::uint64_t>::max();
}

std::int64_t timers::next_ns() const noexcept {
    if (!heap_.empty()) {
        return heap_.front().deadline_ns;
    }
    unsigned l = 0;
    unsigned s = 0;
    const std::uint64_t tick = next_slot_tick(l, s);
    return tick > (static_cast<std::uint64_t>(never) >> tick_bits)
               ? never
               : static_cast<std::int64_t>(tick << tick_bits);
}

timer_node* timers::any() const noexcept {
    if (!heap_.empty()) {
        return heap_.front().timer;
    }
    for (const ring& r : wheel_) {
        if (r.occupied != 0) {
            return r.slot[static_cast<std::size_t>(std::countr_zero(r.occupied))];
        }
    }
    return nullptr;
}

void timers::heap_push(timer_node& t) noexcept {
    t.at = timer_node::place::heap;
    heap_.push_back({});
    sift_up(heap_.size() - 1, {t.deadline_ns, &t});
}

void timers::heap_remove(std::size_t i) noexcept {
    const entry last = heap_.back();
    heap_.pop_back();
    if (i == heap_.size()) {
        return;
    }
    if (i > 0 && last.deadline_ns < heap_[(i - 1) / 2].deadline_ns) {
        sift_up(i, last);
    } else {
        sift_down(i, last);
    }
}

void timers::sift_up(std::size_t i, entry e) noexcept {
    while (i > 0) {
        const std::size_t parent = (i - 1) / 2;
        if (heap_[parent].deadline_ns <= e.deadline_ns) {
            break;
        }
        place(i, heap_[parent]);
        i = parent;
    }
    place(i, e);
}

void timers::sift_down(std::size_t i, entry e) noexcept {
    for (;;) {
        std::size_t child = 2 * i + 1;
        if (child >= heap_.size()) {
            break;
        }
        if (child + 1 < heap_.size() &&
            heap_[child + 1].deadline_ns < heap_[child].deadline_ns) {
            ++child;
        }
        if (e.deadline_ns <= heap_[child].deadline_ns) {
            break;
        }
        place(i, heap_[child]);
        i = child;
    }
    place(i, e);
}

}  // namespace rung::detail
