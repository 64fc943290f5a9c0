/// Waits on timers.

#include "scheduler.hpp"

namespace rung::detail {

void scheduler::wait(timer_node& t, std::int64_t deadline_ns, wait_operation* op,
                     cancel_link* link) {
    lock_guard lock(*this);
    if (t.waits.empty()) {
        try {
            timers_.reserve();
        } catch (...) {
            lock.unlock();
            op->destroy();
            lock.lock();
            throw;
        }
        t.deadline_ns = deadline_ns;
        timers_.arm(t);
    }
    if (link != nullptr) {
        link->op.store(op, std::memory_order_release);
        op->link = link;
    }
    op->timer = &t;
    t.waits.push(op);
    ++waits_;
    be_punctual();
    if (op->level_ == level::high) {
        ++urgent_waits_;
        note_events();
    }
    if (leader_ != nullptr && deadline_ns < leader_until_ns_) {
        wake_if_asleep();
    }
}

void scheduler::finish_wait(wait_operation* op, bool aborted) noexcept {
    op->unlink_slot();
    op->timer = nullptr;
    op->aborted = aborted;
    --waits_;
    if (op->level_ == level::high) {
        --urgent_waits_;
        note_events();
    }
    queue_.push(op);
}

std::size_t scheduler::cancel_waits(timer_node& t, std::size_t limit) noexcept {
    const lock_guard lock(*this);
    std::size_t n = 0;
    while (n < limit) {
        operation* const op = t.waits.pop();
        if (op == nullptr) {
            break;
        }
        finish_wait(static_cast<wait_operation*>(op), true);
        ++n;
    }
    if (t.waits.empty()) {
        timers_.disarm(t);
    }
    if (n != 0 && leader_ != nullptr) {
        wake_if_asleep();
    }
    return n;
}

void scheduler::cancel_wait(cancel_link& link) noexcept {
    const lock_guard lock(*this);
    auto* const op = static_cast<wait_operation*>(link.op.load(std::memory_order_relaxed));
    if (op == nullptr) {
        return;
    }
    timer_node& t = *op->timer;
    t.waits.remove(op);
    finish_wait(op, true);
    if (t.waits.empty()) {
        timers_.disarm(t);
    }
    if (leader_ != nullptr) {
        wake_if_asleep();
    }
}

void scheduler::move_timer(timer_node& to, timer_node& from) noexcept {
    const lock_guard lock(*this);
    to.deadline_ns = from.deadline_ns;
    timers_.replace(from, to);
    to.waits.take(from.waits);
    for (operation* op = to.waits.front(); op != nullptr; op = op->next_) {
        static_cast<wait_operation*>(op)->timer = &to;
    }
}

}  // namespace rung::detail
