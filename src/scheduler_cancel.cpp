/// The end of operations that somebody cancels, and of those whose descriptor goes away.

#include <cerrno>
#include <rung/clock.hpp>
#include <thread>
#include <utility>

#include "scheduler.hpp"

namespace rung::detail {

void scheduler::cancel_locked(io_operation* op) noexcept {
    if (std::exchange(op->cancelled, true)) {
        return;
    }
    if (op->at == io_operation::state::behind) {
        return;  // it ends when what is ahead of it does, or at once where it alone was cancelled
    }
    if (op->at == io_operation::state::ready || op->settled) {
        return;  // it ends without being asked to
    }
    if (op->at == io_operation::state::waiting) {
        ++cancelled_pending_;
    } else if (leader_ == nullptr && submitting_ == 0 && ring_->withdraw(*op)) {
        left_kernel(*op);
        finish(op, -ECANCELED);
    } else {
        cancel_entry(op);
    }
}

/// Has the kernel end an operation's entry.
void scheduler::cancel_entry(io_operation* op) noexcept {
    op->cancel_queued = true;
    op->cancel_next = cancels_;
    cancels_ = op;
}

/// Gives entries to cancellations, as many as fit.
void scheduler::flush_cancels() noexcept {
    while (cancels_ != nullptr && ring_->room() != 0) {
        io_operation* const op = cancels_;
        cancels_ = op->cancel_next;
        op->cancel_queued = false;
        ring_->add_cancel(*op);
    }
}

/// Finishes what was cancelled before it had an entry.
void scheduler::sweep_cancelled() noexcept {
    if (cancelled_pending_ == 0) {
        return;
    }
    cancelled_pending_ = 0;
    for (auto& waiting : pending_) {
        intrusive_queue<io_operation> all;
        all.take(waiting);
        while (io_operation* const op = all.pop()) {
            if (op->cancelled) {
                finish(op, -ECANCELED);
            } else {
                waiting.push(op);
            }
        }
    }
}

void scheduler::cancel_all(io_list& list) noexcept {
    const lock_guard lock(*this);
    io_operation* next = nullptr;
    for (io_operation* op = list.front(); op != nullptr; op = next) {
        next = op->list_next;
        cancel_locked(op);
    }
    if (self() == nullptr) {
        wake_if_asleep();
    }
}

void scheduler::detach(io_list& list) noexcept {
    lock_guard lock(*this);
    // Entries that name the descriptor may be on their way.
    while (submitting_ != 0 && !list.empty()) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
    }
    io_list leaving;  // what the kernel has to let go of
    while (io_operation* const op = list.front()) {
        io_list::unlink(op);
        if (op->at == io_operation::state::in_kernel) {
            leaving.push(op);
        }
        cancel_locked(op);
    }
    if (!leaving.empty()) {
        if (leader_ != nullptr) {
            ring_->await_taken();  // an entry that names the descriptor must not find it reused
        }
        while (cancels_ != nullptr && ring_error_ == 0) {
            flush_cancels();
            submit();
        }
        reap();
        await_departure(lock, leaving);
    }
    if (self() == nullptr) {
        wake_if_asleep();
    }
}

/// Waits until cancelled operations have ended, which is when the thread that had submitted them has
/// passed through the kernel.
///
/// That takes microseconds, and until the next tick of the system's clock where that thread
/// computes; whoever waits longer than the limit would only be late.
void scheduler::await_departure(lock_guard& lock, io_list& leaving) noexcept {
    constexpr std::int64_t limit_ns = 100'000'000;
    constexpr std::int64_t step_ns = 1'000'000;
    const std::int64_t until_ns = leaving.empty() ? 0 : clock::now_ns() + limit_ns;
    while (!leaving.empty() && clock::now_ns() < until_ns) {
        if (leader_ == nullptr) {
            note_error(ring_->wait(ring_->publish(), true, step_ns));
            ring_->refresh();
            reap();
        } else {
            // The sleeper takes the completions itself, once it has the lock.
            lock.unlock();
            std::this_thread::yield();
            lock.lock();
        }
    }
    while (io_operation* const late = leaving.front()) {
        io_list::unlink(late);
    }
}

void scheduler::move_list(io_list& to, io_list& from) noexcept {
    const lock_guard lock(*this);
    to.take(from);
}

void scheduler::cancel(cancel_link& link) noexcept {
    const lock_guard lock(*this);
    auto* const op = static_cast<io_operation*>(link.op.load(std::memory_order_relaxed));
    if (op == nullptr) {
        return;
    }
    cancel_locked(op);
    if (op->at == io_operation::state::behind) {
        finish(op, -ECANCELED);
    }
    if (self() == nullptr) {
        wake_if_asleep();
    }
}

void scheduler::unlink(cancel_link& link) noexcept {
    const lock_guard lock(*this);
    if (auto* const op = link.op.load(std::memory_order_relaxed)) {
        op->unlink_slot();
    }
}

}  // namespace rung::detail
