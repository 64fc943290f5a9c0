/// Waits on timers.

#include <array>
#include <rung/detail/clock_timers.hpp>
#include <rung/detail/monotonic.hpp>

#include "scheduler.hpp"

namespace rung::detail {

namespace {

clock_timers& clock_of(timer_node& t) noexcept { return *static_cast<clock_timer_node&>(t).clock; }

/// What stands in the engine's timers for a timer.
timer_node& engine_node(timer_node& t) noexcept {
    return t.of == timer_node::kind::of_clock ? clock_of(t).look : t;
}

}  // namespace

void scheduler::wait(timer_node& t, std::int64_t deadline_ns, wait_operation* op,
                     cancel_link* link) {
    lock_guard lock(*this);
    try {
        arm(t, deadline_ns, op->level_ == level::high);
    } catch (...) {
        lock.unlock();
        op->destroy();
        lock.lock();
        throw;
    }
    if (link != nullptr) {
        link->op.store(op, std::memory_order_release);
        link->timer = &t;
        op->link = link;
    }
    t.waits.push(op);
    ++waits_;
    be_punctual();
    if (op->level_ == level::high) {
        ++urgent_waits_;
        note_events();
    }
    if (leader_ != nullptr && engine_node(t).deadline_ns < leader_until_ns_) {
        wake_if_asleep();
    }
}

/// Arms a timer that has no waits, and sees to it that a timer stands among the urgent ones once one
/// of its waits is urgent.
void scheduler::arm(timer_node& t, std::int64_t deadline_ns, bool urgent) {
    timer_node& node = engine_node(t);
    const bool first = t.waits.empty();
    const bool moves = urgent ? !node.urgent : node.urgent && !node.armed;
    if (!first && !moves) {
        return;
    }
    if (moves || node.at == timer_node::place::none) {
        (urgent ? urgent_timers_ : timers_).reserve();
    }
    if (first && t.of == timer_node::kind::of_clock) {
        clock_of(t).reserve();
    }
    if (moves) {
        const bool was_armed = node.armed;
        timers_of(node).remove(node);
        node.urgent = urgent;
        if (was_armed) {
            arm_node(node);
        }
    }
    if (!first) {
        return;
    }
    if (t.of != timer_node::kind::of_clock) {
        t.deadline_ns = deadline_ns;
        arm_node(t);
        return;
    }
    clock_timers& c = clock_of(t);
    ++clock_timers_;
    looks_ += c.size() == 0 ? 1 : 0;
    if (c.arm(t)) {
        look_again(c);
    }
}

void scheduler::arm_node(timer_node& node) noexcept {
    timers_of(node).arm(node);
    std::int64_t& next_ns = node.urgent ? next_urgent_ns_ : next_due_ns_;
    next_ns = std::min(next_ns, node.deadline_ns);
}

/// Arms the look at a clock that has timers, unless there is an earlier one.
void scheduler::look_again(clock_timers& c) noexcept {
    const std::int64_t look_ns = c.look_again_ns();
    if (c.look.armed) {
        if (c.look.deadline_ns <= look_ns) {
            return;
        }
        timers_of(c.look).disarm(c.look);
    }
    c.look.deadline_ns = look_ns;
    arm_node(c.look);
}

/// Disarms a timer whose last wait has ended. `gone`: it must not be touched again.
void scheduler::disarm(timer_node& t, bool gone) noexcept {
    if (t.of == timer_node::kind::of_clock) {
        clock_timers& c = clock_of(t);
        if (t.armed) {
            c.remove(t);
            --clock_timers_;
            if (c.size() == 0) {
                --looks_;
                timers_of(c.look).remove(c.look);
            }
        }
    } else if (gone) {
        timers_of(t).remove(t);
    } else {
        timers_of(t).disarm(t);
    }
}

void scheduler::finish_wait(wait_operation* op, bool aborted) noexcept {
    op->unlink_slot();
    op->aborted_ = aborted;
    --waits_;
    if (op->level_ == level::high) {
        --urgent_waits_;
        note_events();
    }
    queue_.push(op);
}

std::size_t scheduler::finish_waits(timer_node& t, bool aborted, std::size_t limit) noexcept {
    std::size_t n = 0;
    for (; n < limit; ++n) {
        linked_operation* const op = t.waits.pop();
        if (op == nullptr) {
            break;
        }
        finish_wait(static_cast<wait_operation*>(op), aborted);
    }
    return n;
}

std::size_t scheduler::cancel_waits(timer_node& t, std::size_t limit) noexcept {
    const lock_guard lock(*this);
    const std::size_t n = finish_waits(t, true, limit);
    if (t.waits.empty()) {
        disarm(t, false);
    }
    if (n != 0 && leader_ != nullptr) {
        wake_if_asleep();
    }
    return n;
}

void scheduler::remove_timer(timer_node& t) noexcept {
    const lock_guard lock(*this);
    const std::size_t n = finish_waits(t, true, unlimited);
    disarm(t, true);
    if (n != 0 && leader_ != nullptr) {
        wake_if_asleep();
    }
}

void scheduler::cancel_wait(cancel_link& link) noexcept {
    const lock_guard lock(*this);
    auto* const op = static_cast<wait_operation*>(link.op.load(std::memory_order_relaxed));
    if (op == nullptr) {
        return;
    }
    timer_node& t = *link.timer;
    t.waits.remove(op);
    finish_wait(op, true);
    if (t.waits.empty()) {
        disarm(t, false);
    }
    if (leader_ != nullptr) {
        wake_if_asleep();
    }
}

void scheduler::move_timer(timer_node& to, timer_node& from) noexcept {
    const lock_guard lock(*this);
    to.deadline_ns = from.deadline_ns;
    to.urgent = from.urgent;
    if (from.of != timer_node::kind::of_clock) {
        timers_of(from).replace(from, to);
    } else if (from.armed) {
        clock_of(from).replace(from, to);
    }
    to.waits.take(from.waits);
    for (operation* op = to.waits.front(); op != nullptr; op = op->next_) {
        if (cancel_link* const link = static_cast<wait_operation*>(op)->link) {
            link->timer = &to;
        }
    }
}

/// Those that programs have armed; the looks at clocks are the library's own.
std::size_t scheduler::armed_timers() const noexcept {
    return timers_.size() + urgent_timers_.size() - looks_ + clock_timers_;
}

/// Ends the waits of timers that are due: so many at most that the rest has its turn after these
/// handlers, which find their timers still in the cache.
void scheduler::fire(timers& from, std::int64_t now_ns) noexcept {
    constexpr std::size_t most = 64;
    std::array<timer_node*, most> due;
    std::size_t n = 0;
    const std::uint64_t moves = from.moves();
    while (n < most && from.moves() - moves < timers::most_moves) {
        timer_node* const t = from.expire(now_ns);
        if (t == nullptr) {
            break;
        }
        // What has been asked of memory for all of them arrives while the first are seen to.
        __builtin_prefetch(t);
        due[n++] = t;
    }
    for (std::size_t i = 0; i < n; ++i) {
        __builtin_prefetch(due[i]->waits.front(), 1);
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (due[i]->of == timer_node::kind::look) {
            fire(clock_of(*due[i]));
        } else {
            finish_waits(*due[i], false, unlimited);
        }
    }
}

void scheduler::fire(clock_timers& c) noexcept {
    std::array<timer_node*, 64> due;
    const std::size_t n = c.expire(due);
    clock_timers_ -= n;
    for (std::size_t i = 0; i < n; ++i) {
        finish_waits(*due[i], false, unlimited);
    }
    if (c.size() != 0) {
        look_again(c);
    } else {
        --looks_;
    }
}

void scheduler::fire_urgent_timers(std::int64_t now_ns) noexcept {
    fire(urgent_timers_, now_ns);
    next_urgent_ns_ = urgent_timers_.next_ns();
}

/// As if every timer had been cancelled.
void scheduler::cancel_timers() noexcept {
    for (timers* const all : {&urgent_timers_, &timers_}) {
        while (timer_node* const t = all->any()) {
            all->remove(*t);
            if (t->of != timer_node::kind::look) {
                finish_waits(*t, true, unlimited);
                continue;
            }
            --looks_;
            while (timer_node* const other = clock_of(*t).any()) {
                finish_waits(*other, true, unlimited);
                clock_of(*t).remove(*other);
                --clock_timers_;
            }
        }
    }
}

}  // namespace rung::detail
