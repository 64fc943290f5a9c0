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

void scheduler::cancel_locked(io_operation* op) noexcept {
    if (std::exchange(op->cancelled, true)) {
        return;
    }
    if (op->at == io_operation::state::behind) {
        return;  // it ends when what is ahead of it does, or at once where it alone was cancelled
    }
    if (op->at == io_operation::state::waiting) {
        ++cancelled_pending_;
    } else if (leader_ == nullptr && submitting_ == 0 && ring_->withdraw(*op)) {
        left_kernel(*op);
        finish(op, -ECANCELED);
    } else {
        op->cancel_queued = true;
        op->cancel_next = cancels_;
        cancels_ = op;
    }
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

void scheduler::detach(io_list& list, engine::departure d, int socket) noexcept {
    lock_guard lock(*this);
    // Entries that name the descriptor may be on their way.
    for (backoff until_then; submitting_ != 0 && !list.empty();) {
        lock.unlock();
        until_then.wait();
        lock.lock();
    }
    const bool in_loop = self() != nullptr;
    io_list leaving;  // what the kernel has to let go of
    while (io_operation* const op = list.front()) {
        io_list::unlink(op);
        if (op->at == io_operation::state::in_kernel) {
            leaving.push(op);
        }
        cancel_locked(op);
    }
    if (!leaving.empty()) {
        await_handover(lock, leaving);
        while (cancels_ != nullptr && ring_error_ == 0) {
            flush_cancels();
            submit();
        }
        reap();
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

/// Waits until a thread that is about to sleep in the ring has handed its entries over: one that names
/// the descriptor must not find it used again.
void scheduler::await_handover(lock_guard& lock, const io_list& leaving) noexcept {
    for (backoff until_then; leader_ != nullptr && !ring_->all_taken() && !leaving.empty();) {
        lock.unlock();
        until_then.wait();
        lock.lock();
    }
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
