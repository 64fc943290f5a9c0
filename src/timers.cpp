#include "timers.hpp"

#include <algorithm>
#include <bit>
#include <new>
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
    insert({t.deadline_ns, &t});
}

void timers::insert(entry e) noexcept {
    const std::uint64_t tick = tick_of(e.deadline_ns);
    if (tick > tick_) {
        const unsigned l = level_of(tick, tick_);
        if (push_slot(e, l, static_cast<unsigned>(tick >> (l * slot_bits)) % slots)) {
            return;
        }
    }
    heap_push(e);
}

/// False where there is no memory: then the heap, which has room for every timer, takes it.
bool timers::push_slot(entry e, unsigned l, unsigned s) noexcept {
    chunk*& slot = wheel_[l].slot[s];
    if (slot == nullptr || slot->used == chunk::room) {
        chunk* const c = new_chunk();
        if (c == nullptr) {
            return false;
        }
        c->next = slot;
        slot = c;
        wheel_[l].occupied |= std::uint64_t{1} << s;
    }
    entry& place = slot->entries[slot->used++];
    place = e;
    timer_node& t = *e.timer;
    t.at = timer_node::place::wheel;
    t.wheel_level = static_cast<std::uint8_t>(l);
    t.slot = static_cast<std::uint8_t>(s);
    t.entry = &place;
    return true;
}

void timers::remove_from_slot(timer_node& t) noexcept {
    ring& r = wheel_[t.wheel_level];
    chunk*& slot = r.slot[t.slot];
    const entry last = slot->entries[--slot->used];
    *static_cast<entry*>(t.entry) = last;
    last.timer->entry = t.entry;
    if (slot->used == 0) {
        chunk* const empty = std::exchange(slot, slot->next);
        free_chunk(empty);
        if (slot == nullptr) {
            r.occupied &= ~(std::uint64_t{1} << t.slot);
        }
    }
}

timers::chunk* timers::new_chunk() noexcept {
    if (stock_ == nullptr) {
        // Several at a time: how many slots the same timers take changes as time goes on.
        constexpr int batch = 16;
        for (int i = 0; i < batch; ++i) {
            if (chunk* const c = new (std::nothrow) chunk) {
                free_chunk(c);
            }
        }
    }
    return stock_ == nullptr ? nullptr : std::exchange(stock_, stock_->next);
}

void timers::free_chunk(chunk* c) noexcept {
    c->used = 0;
    c->next = std::exchange(stock_, c);
}

timers::~timers() {
    while (stock_ != nullptr) {
        delete std::exchange(stock_, stock_->next);
    }
    for (ring& r : wheel_) {
        for (chunk* c : r.slot) {
            while (c != nullptr) {
                delete std::exchange(c, c->next);
            }
        }
    }
}

void timers::disarm(timer_node& t) noexcept {
    switch (std::exchange(t.at, timer_node::place::none)) {
        case timer_node::place::none:
            return;
        case timer_node::place::heap:
            heap_remove(t.index);
            break;
        case timer_node::place::wheel:
            remove_from_slot(t);
            break;
    }
    --count_;
}

void timers::replace(timer_node& from, timer_node& to) noexcept {
    to.at = from.at;
    to.wheel_level = from.wheel_level;
    to.slot = from.slot;
    to.index = from.index;
    to.entry = from.entry;
    if (to.at == timer_node::place::heap) {
        heap_[to.index].timer = &to;
    } else if (to.at == timer_node::place::wheel) {
        static_cast<entry*>(to.entry)->timer = &to;
    }
    from.at = timer_node::place::none;
}

timer_node* timers::expire(std::int64_t now_ns) noexcept {
    const std::uint64_t now_tick = tick_of(now_ns);
    // One slot at a time, so that the heap stays small and what comes out of it is in the cache.
    while (tick_ < now_tick && (heap_.empty() || tick_of(heap_.front().deadline_ns) > tick_)) {
        advance(now_tick);
    }
    if (heap_.empty() || heap_.front().deadline_ns > now_ns) {
        return nullptr;
    }
    timer_node* const t = heap_.front().timer;
    disarm(*t);
    return t;
}

/// Goes on to the next slot that is not empty, but not beyond `limit`.
void timers::advance(std::uint64_t limit) noexcept {
    unsigned l = 0;
    unsigned s = 0;
    const std::uint64_t next = next_slot_tick(l, s);
    if (next > limit) {
        tick_ = limit;
        return;
    }
    // Time stands at the slot's beginning while its timers find their new places.
    tick_ = next;
    wheel_[l].occupied &= ~(std::uint64_t{1} << s);
    chunk* c = std::exchange(wheel_[l].slot[s], nullptr);
    while (c != nullptr) {
        for (std::uint32_t i = 0; i < c->used; ++i) {
            insert(c->entries[i]);
        }
        free_chunk(std::exchange(c, c->next));
    }
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
    unsigned l = 0;
    unsigned s = 0;
    const std::uint64_t tick = next_slot_tick(l, s);
    const std::int64_t slot_ns = tick > (static_cast<std::uint64_t>(never) >> tick_bits)
                                     ? never
                                     : static_cast<std::int64_t>(tick << tick_bits);
    return heap_.empty() ? slot_ns : std::min(heap_.front().deadline_ns, slot_ns);
}

timer_node* timers::any() const noexcept {
    if (!heap_.empty()) {
        return heap_.front().timer;
    }
    for (const ring& r : wheel_) {
        if (r.occupied != 0) {
            return r.slot[static_cast<std::size_t>(std::countr_zero(r.occupied))]->entries[0].timer;
        }
    }
    return nullptr;
}

void timers::heap_push(entry e) noexcept {
    e.timer->at = timer_node::place::heap;
    heap_.push_back(e);
    sift_up(heap_.size() - 1, e);
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
        if (child + 1 < heap_.size() && heap_[child + 1].deadline_ns < heap_[child].deadline_ns) {
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
