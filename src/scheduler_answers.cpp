/// What comes of the kernel's answers; the rules are in io_policy.cpp.

#include <cerrno>
#include <utility>

#include "io_policy.hpp"
#include "scheduler.hpp"
#include "transfer.hpp"

namespace rung::detail {

namespace {

/// What a cancelled operation ends with: its result if it had one before the cancellation.
std::int32_t cancelled_result(const io_operation& op, std::int32_t answer) noexcept {
    const bool unfinished = op.by_poll || op.pauses != 0 || answer == -EAGAIN || answer == -EINTR;
    return unfinished ? -ECANCELED : answer;
}

}  // namespace

/// The entry of an operation has ended otherwise than with its result.
void scheduler::answered(io_operation* op, std::int32_t answer) noexcept {
    if (op->settled) {
        finish(op, op->result);
        return;
    }
    if (op->cancelled) {
        finish(op, cancelled_result(*op, answer));
        return;
    }
    if (std::exchange(op->due, false)) {
        call_in_turn(op);
        return;
    }
    const verdict v = after_entry(*op, answer);
    switch (v) {
        case verdict::ended:
            finish(op, op->by_poll && answer > 0 ? 0 : answer);
            break;
        case verdict::call:
            op->polled = op->by_poll;
            call(op);
            break;
        default:
            wait_on(op, v);
            break;
    }
}

/// An operation may be done now. What moves bytes, or has to be done by an entry, does so in turn;
/// the rest is a look at the descriptor.
void scheduler::call(io_operation* op) noexcept {
    switch (op->kind) {
        case io_kind::accept:
            if (op->takes_late) {
                call_in_turn(op);
            } else {
                op->by_poll = false;
                add_pending(op);
            }
            return;
        case io_kind::wait:
        case io_kind::connect:
            break;
        default:
            call_in_turn(op);
            return;
    }
    const std::int32_t result = try_operation(*op);
    const verdict v = after_call(*op, result);
    if (v == verdict::ended) {
        finish(op, result);
    } else {
        wait_on(op, v);
    }
}

/// Has an operation wait for its next chance.
void scheduler::wait_on(io_operation* op, verdict how) noexcept {
    switch (how) {
        case verdict::poll:
            op->by_poll = true;
            op->pauses = 0;
            break;
        case verdict::watch:
            op->watching = true;
            break;
        case verdict::pause:
            op->pauses += op->pauses != UINT8_MAX ? 1 : 0;
            break;
        case verdict::refuse:
            finish(op, -EOPNOTSUPP);
            return;
        default:
            break;
    }
    op->poll_first = false;
    ++counters_.restarts;
    add_pending(op);
}

/// The edge-triggered poll of an operation reports a change, and goes on.
///
/// As nobody else may be told of it, the call is made here, under the lock. For what is to be taken
/// later it is a look, which takes nothing but an error.
void scheduler::watched(io_operation* op) noexcept {
    op->has_watched = true;
    if (op->cancelled || op->settled || op->due) {
        return;
    }
    const bool looks = op->only_looks();
    const std::int32_t result = looks ? look_for_data(*op) : try_operation(*op);
    if (after_call(*op, result) == verdict::watch) {
        return;
    }
    op->due = looks && result >= 0;
    op->settled = !op->due;
    op->result = result;
    cancel_entry(op);
}

}  // namespace rung::detail
