/// The end of operations that somebody cancels, and of those whose descriptor goes away.

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <rung/clock.hpp>
#include <utility>

#include "backoff.hpp"
#include "scheduler.hpp"

namespace rung::detail {

namespace {

/// Whether others would notice that the kernel lets go of a socket a little after it was closed: a
/// name stays bound for so long, and `close` does not linger. A peer sees the end that much later.
/// The port of a connected TCP socket stays taken for longer than that anyway.
bool noticed(int socket) noexcept {
    int type = 0;
    socklen_t size = sizeof type;
    sockaddr_un own{};
    socklen_t own_size = sizeof own;
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
        ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0 ||
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &own_size) != 0) {
        return true;
    }
    if (own.sun_family == AF_UNIX && own_size > sizeof own.sun_family && own.sun_path[0] == '\0') {
        return true;
    }
    linger l{};
    size = sizeof l;
    return ::getsockopt(socket, SOL_SOCKET, SO_LINGER, &l, &size) == 0 && l.l_onoff != 0;
}

}  // namespace

/// Notes that an operation is to end. True if there is more to do for that, by end_cancelled().
bool scheduler::mark_cancelled(io_operation* op) noexcept {
    if (std::exchange(op->cancelled, true)) {
        return false;
    }
    switch (op->at) {
        case io_operation::state::waiting:
            pending_of(*op).remove(op);
            return true;
        case io_operation::state::in_kernel:
            return !op->settled && !op->due;  // else its poll is being ended already
        default:
            // One that is behind ends when what is ahead of it does, or at once where it alone was
            // cancelled. One that is ready makes no call when its turn comes.
            return false;
    }
}

void scheduler::end_cancelled(io_operation* op) noexcept {
    if (op->at == io_operation::state::waiting) {
        finish(op, -ECANCELED);
    } else if (left_behind_ ||  // this is another process than the one whose ring holds it
               (leader_ == nullptr && submitting_ == 0 && ring_->withdraw(*op))) {
        left_kernel(*op);
        finish(op, -ECANCELED);
    } else {
        cancel_entry(op);
    }
}

/// Has the kernel end an operation's entry.
void scheduler::cancel_entry(io_operation* op) noexcept { cancels_.push(op); }

void scheduler::cancel_locked(io_operation* op) noexcept {
    if (mark_cancelled(op)) {
        end_cancelled(op);
    }
}

/// Cancels every operation of a list. True if some of them may have taken something, or may still.
bool scheduler::cancel_each(const io_list& list) noexcept {
    bool may_take = false;
    operation* oldest = nullptr;  // the list begins with the newest, which is to end last
    for (io_operation* op = list.front(); op != nullptr; op = op->list_next) {
        if (mark_cancelled(op)) {
            may_take = may_take || (op->at == io_operation::state::in_kernel && !op->by_poll);
            op->next_ = std::exchange(oldest, op);
        }
    }
    while (oldest != nullptr) {
        operation* const op = std::exchange(oldest, oldest->next_);
        end_cancelled(static_cast<io_operation*>(op));
    }
    return may_take;
}

/// Gives entries to cancellations, as many as fit.
void scheduler::flush_cancels() noexcept {
    while (!cancels_.empty() && ring_->room() != 0) {
        io_operation* const op = cancels_.front();
        cancels_.remove(op);
        ring_->add_cancel(*op);
    }
}

/// Has the kernel end what was cancelled, now: it must not take what somebody sends after that.
///
/// Where another thread sleeps in the ring, they are submitted as any entry is then.
void scheduler::submit_cancels() noexcept {
    while (!cancels_.empty() && leader_ == nullptr && ring_error_ == 0) {
        flush_cancels();
        submit();
        reap();
    }
}

void scheduler::cancel_all(io_list& list) noexcept {
    const lock_guard lock(*this);
    const bool may_take = cancel_each(list);
    if (may_take && self() != nullptr) {
        submit_cancels();
    }
    if (self() == nullptr) {
        wake_if_asleep();
    }
}

/// Whether a thread makes the call of an operation of the list, which takes a moment.
bool scheduler::is_being_called(const io_list& list) noexcept {
    return list.newest([](const io_operation& o) {
        return o.at == io_operation::state::calling;
    }) != nullptr;
}

void scheduler::detach(io_list& list, engine::departure d, int socket) noexcept {
    lock_guard lock(*this);
    for (backoff until_then; is_being_called(list);) {
        lock.unlock();
        until_then.wait();
        lock.lock();
    }
    cancel_each(list);
    const bool in_loop = self() != nullptr;
    io_list leaving;  // what the kernel has to let go of
    while (io_operation* const op = list.front()) {
        io_list::unlink(op);
        if (op->at == io_operation::state::in_kernel) {
            leaving.push(op);
        }
    }
    if (!leaving.empty()) {
        hand_over(lock);
        if (in_loop || d == engine::departure::awaited || noticed(socket)) {
            await_departure(lock, leaving);
        }
        while (io_operation* const late = leaving.front()) {
            io_list::unlink(late);
        }
    }
    if (!in_loop) {
        wake_if_asleep();
    }
}

/// Has the kernel take every entry and cancellation that there is, those of a thread that is about to
/// enter the ring among them: one that names the descriptor must not find it used again.
void scheduler::hand_over(lock_guard& lock) noexcept {
    const auto incomplete = [this] {
        return (!cancels_.empty() || !ring_->all_taken()) && ring_error_ == 0;
    };
    for (backoff until_then; incomplete();) {
        flush_cancels();
        submit();
        reap();
        if (incomplete()) {
            lock.unlock();  // for a sleeper that has to take completions first
            until_then.wait();
            lock.lock();
        }
    }
    reap();
}

/// Waits until cancelled operations have ended, which is when the thread that had submitted them has
/// passed through the kernel.
///
/// That takes microseconds, and until the next tick of the system's clock where that thread
/// computes; whoever waits longer than the limit would only be late.
void scheduler::await_departure(lock_guard& lock, const io_list& leaving) noexcept {
    constexpr std::int64_t limit_ns = 100'000'000;
    constexpr std::int64_t step_ns = 1'000'000;
    const std::int64_t until_ns = leaving.empty() ? 0 : clock::now_ns() + limit_ns;
    const bool in_loop = self() != nullptr;
    backoff until_then;
    while (!leaving.empty() && clock::now_ns() < until_ns) {
        if (in_loop && leader_ == nullptr) {
            note_error(ring_->wait(ring_->publish(), true, step_ns));
            ring_->refresh();
        } else {
            lock.unlock();
            until_then.wait();
            lock.lock();
        }
        reap();
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
