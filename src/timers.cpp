#include "timers.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace rung::detail {

timers::~timers() {
    while (stock_ != nullptr) {
        delete std::exchange(stock_, stock_->next);
    }
    for (ring* const r : wheel_) {
        if (r == nullptr) {
            continue;
        }
        for (chunk* c : r->slot) {
            while (c != nullptr) {
                delete std::exchange(c, c->next);
            }
        }
        delete r;
    }
}

void timers::reserve() {
    // All timers may end up in the heap at once, and moving them there must not fail.
    if (heap_.capacity() <= entries_) {
        heap_.reserve(std::max<std::size_t>(64, 2 * heap_.capacity()));
    }
}

void timers::arm(timer_node& t) noexcept {
    ++count_;
    t.armed = true;
    switch (t.at) {
        case timer_node::place::none:
            ++entries_;
            insert(t);
            break;
        case timer_node::place::heap:
            if (t.deadline_ns < heap_[t.index].key) {
                heap_.bring_forward(t, t.deadline_ns);
            }
            break;
        case timer_node::place::wheel:
            if (tick_of(t.deadline_ns) < number_of(t) << (t.wheel_level * slot_bits)) {
                remove_from_slot(t);
                insert(t);
            }
            break;
    }
}

void timers::disarm(timer_node& t) noexcept {
    if (t.of != timer_node::kind::repeated) {
        remove(t);
    } else if (std::exchange(t.armed, false)) {
        --count_;
    }
}

void timers::remove(timer_node& t) noexcept {
    if (std::exchange(t.armed, false)) {
        --count_;
    }
    if (t.at != timer_node::place::none) {
        take_entry(t);
    }
}

void timers::take_entry(timer_node& t) noexcept {
    if (t.at == timer_node::place::heap) {
        heap_.remove(t);
    } else {
        remove_from_slot(t);
    }
    --entries_;
}

void timers::replace(timer_node& from, timer_node& to) noexcept {
    to.at = static_cast<timer_node::place>(from.at);
    from.at = timer_node::place::none;
    to.armed = std::exchange(from.armed, false);
    to.wheel_level = from.wheel_level;
    to.slot = from.slot;
    if (to.at == timer_node::place::heap) {
        to.index = from.index;
        heap_.replace(to.index, to);
    } else if (to.at == timer_node::place::wheel) {
        to.entry = from.entry;
        *to.entry = &to;
    }
}

timer_node* timers::expire(std::int64_t now_ns) noexcept {
    const std::uint64_t now_tick = tick_of(now_ns);
    const std::uint64_t limit = moves_ + most_moves;
    behind_ = false;
    while (moves_ < limit) {
        // What the wheel still holds may come before the heap's first, from where a slot starts.
        if (!heap_.empty() && heap_.front().key <= now_ns &&
            tick_of(heap_.front().key) < next_start_) {
            timer_node& t = *heap_.front().timer;
            if (settle(t)) {
                return &t;
            }
        } else if (now_tick >= next_ready_) {
            empty_next_slot(now_tick, limit);
        } else {
            tick_ = std::max(tick_, now_tick);
            return nullptr;
        }
    }
    behind_ = true;
    return nullptr;
}

/// Takes the first timer out of the heap. False if it is not the time for it: then its entry goes,
/// or finds its new place.
bool timers::settle(timer_node& t) noexcept {
    const bool armed = t.armed;
    if (armed && t.deadline_ns > heap_.front().key) {
        heap_.remove(t);
        ++moves_;
        insert(t);
        return false;
    }
    --entries_;
    if (armed) {
        t.armed = false;
        --count_;
    } else {
        ++moves_;
    }
    heap_.remove(t);  // last: one that was left behind may be destroyed as soon as it has no entry
    return armed;
}

void timers::insert(timer_node& t) noexcept {
    const std::uint64_t tick = tick_of(t.deadline_ns);
    if (tick > tick_) {
        int level = (std::bit_width(tick - tick_) - 1) / static_cast<int>(slot_bits);
        const unsigned shift = static_cast<unsigned>(level) * slot_bits;
        if ((tick >> shift) - (tick_ >> shift) == 1) {
            --level;  // a level's next slot is being emptied
        }
        if (level >= 0 && push_slot(t, static_cast<unsigned>(level), tick)) {
            return;
        }
    }
    heap_.push(t.deadline_ns, t);
}

/// False where there is no memory: then the heap, which has room for every timer, takes it.
bool timers::push_slot(timer_node& t, unsigned level, std::uint64_t tick) noexcept {
    ring*& r = wheel_[level];
    if (r == nullptr) {
        r = new (std::nothrow) ring;
        if (r == nullptr) {
            return false;
        }
    }
    const position p{level, tick >> (level * slot_bits)};
    const auto s = static_cast<unsigned>(p.number % slots);
    chunk*& slot = r->slot[s];
    if (slot == nullptr || slot->used == chunk::room) {
        chunk* const c = new_chunk();
        if (c == nullptr) {
            return false;
        }
        if (slot == nullptr) {
            r->occupied[s / 64] |= std::uint64_t{1} << (s % 64);
            next_ready_ = std::min(next_ready_, p.ready());
            next_start_ = std::min(next_start_, p.start());
        }
        c->next = std::exchange(slot, c);
    }
    t.entry = &slot->entries[slot->used++];
    *t.entry = &t;
    t.at = timer_node::place::wheel;
    t.wheel_level = static_cast<std::uint8_t>(level);
    t.slot = static_cast<std::uint8_t>(s);
    return true;
}

void timers::remove_from_slot(timer_node& t) noexcept {
    ring& r = *wheel_[t.wheel_level];
    chunk*& slot = r.slot[t.slot];
    timer_node* const last = slot->entries[--slot->used];
    *t.entry = last;
    last->entry = t.entry;
    if (slot->used == 0) {
        free_chunk(std::exchange(slot, slot->next));
        if (slot == nullptr) {
            r.occupied[t.slot / 64] &= ~(std::uint64_t{1} << (t.slot % 64));
        }
    }
    t.at = timer_node::place::none;
}

/// The number of the slot in which a timer stands.
std::uint64_t timers::number_of(const timer_node& t) const noexcept {
    const std::uint64_t here = tick_ >> (t.wheel_level * slot_bits);
    return here + (t.slot - here) % slots;
}

/// The next slot of a level that is not empty.
bool timers::first_slot(unsigned level, position& p) const noexcept {
    const ring* const r = wheel_[level];
    if (r == nullptr) {
        return false;
    }
    const std::uint64_t first = (tick_ >> (level * slot_bits)) + 1;
    const auto from = static_cast<unsigned>(first % slots);
    // The words from the one in which `first` lies on, and the rest of that one last.
    for (unsigned i = 0; i <= words; ++i) {
        const unsigned w = (from / 64 + i) % words;
        std::uint64_t bits = r->occupied[w];
        if (i == 0) {
            bits &= ~std::uint64_t{0} << (from % 64);
        }
        if (bits != 0) {
            const unsigned s = 64 * w + static_cast<unsigned>(std::countr_zero(bits));
            p = {level, first + (s - from) % slots};
            return true;
        }
    }
    return false;
}

/// Empties, of the slots that may be emptied by now, the one that starts first.
void timers::empty_next_slot(std::uint64_t now_tick, std::uint64_t limit) noexcept {
    next_ready_ = no_tick;
    next_start_ = no_tick;
    position next;
    bool found = false;
    for (unsigned level = 0; level < levels; ++level) {
        position p;
        if (!first_slot(level, p)) {
            continue;
        }
        next_ready_ = std::min(next_ready_, p.ready());
        next_start_ = std::min(next_start_, p.start());
        if (p.ready() <= now_tick && (!found || p.start() < next.start())) {
            next = p;
            found = true;
        }
    }
    if (found) {
        tick_ = std::max(tick_, next.ready());
        empty_slot(next, limit);
    }
}

/// Moves timers out of a slot, to where they belong now, until it is empty or so much has been moved.
void timers::empty_slot(position p, std::uint64_t limit) noexcept {
    constexpr std::uint32_t ahead = 8;
    ring& r = *wheel_[p.level];
    const auto s = static_cast<unsigned>(p.number % slots);
    chunk*& slot = r.slot[s];
    while (slot != nullptr && moves_ < limit) {
        if (slot->used > ahead) {
            __builtin_prefetch(slot->entries[slot->used - 1 - ahead], 1);
        }
        timer_node& t = *slot->entries[--slot->used];
        if (slot->used == 0) {
            free_chunk(std::exchange(slot, slot->next));
        }
        ++moves_;
        if (t.armed) {
            insert(t);
        } else {
            t.at = timer_node::place::none;
            --entries_;
        }
    }
    if (slot == nullptr) {
        r.occupied[s / 64] &= ~(std::uint64_t{1} << (s % 64));
    }
}

std::int64_t timers::ns_of(std::uint64_t tick) noexcept {
    return tick > (static_cast<std::uint64_t>(never) >> tick_bits)
               ? never
               : static_cast<std::int64_t>(tick << tick_bits);
}

std::int64_t timers::next_ns() const noexcept {
    if (count_ == 0) {
        return never;
    }
    if (entries_ <= few) {
        return earliest_ns();  // nobody sleeps in vain for a timer or two
    }
    const std::int64_t ready_ns = ns_of(next_ready_);
    return heap_.empty() ? ready_ns : std::min(heap_.front().key, ready_ns);
}

/// Calls `visit` with each chunk of the wheel, until it returns true.
template <class Visit>
bool timers::visit_slots(Visit visit) const {
    for (const ring* const r : wheel_) {
        for (unsigned w = 0; r != nullptr && w < words; ++w) {
            for (std::uint64_t bits = r->occupied[w]; bits != 0; bits &= bits - 1) {
                const auto s = 64 * w + static_cast<unsigned>(std::countr_zero(bits));
                if (visit(*r->slot[s])) {
                    return true;
                }
            }
        }
    }
    return false;
}

std::int64_t timers::earliest_ns() const noexcept {
    std::int64_t earliest = never;
    const auto look = [&](const timer_node& t) {
        if (t.armed) {
            earliest = std::min(earliest, t.deadline_ns);
        }
    };
    for (std::size_t i = 0; i < heap_.size(); ++i) {
        look(*heap_[i].timer);
    }
    visit_slots([&](const chunk& c) {  // a slot with so few has one chunk
        for (std::uint32_t i = 0; i < c.used; ++i) {
            look(*c.entries[i]);
        }
        return false;
    });
    return earliest;
}

timer_node* timers::any() const noexcept {
    if (!heap_.empty()) {
        return heap_.front().timer;
    }
    timer_node* found = nullptr;
    visit_slots([&](const chunk& c) {
        found = c.entries[0];
        return true;
    });
    return found;
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
    if (stock_ == nullptr) {
        return nullptr;
    }
    --kept_;
    chunk* const c = std::exchange(stock_, stock_->next);
    c->used = 0;
    return c;
}

/// Into the stock. After a burst of timers, what the stock has no need of goes back to the system.
void timers::free_chunk(chunk* c) noexcept {
    if (kept_ == most_kept) {
        delete c;
        return;
    }
    ++kept_;
    c->next = std::exchange(stock_, c);
}

}  // namespace rung::detail
