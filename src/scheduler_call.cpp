/// Operations whose call is made in their handler's turn: doc/decisions/0054.

#include <cerrno>
#include <utility>

#include "io_policy.hpp"
#include "scheduler.hpp"
#include "transfer.hpp"

namespace rung::detail {

/// Has the thread that takes it from the run queue make an operation's call before its handler.
void scheduler::call_in_turn(io_operation* op) noexcept {
    op->at = io_operation::state::ready;
    queue_.push(op);
}

bool scheduler::attempt(io_operation* op, operation::action what) noexcept {
    lock_guard lock(*this);
    std::int32_t result = -ECANCELED;
    if (what == operation::action::complete && !op->cancelled) {
        op->at = io_operation::state::calling;  // nobody may close the descriptor
        calling_.push(op);
        lock.unlock();
        result = try_transfer(*op);
        lock.lock();
        calling_.remove(op);
        ++counters_.speculated;
        if (std::exchange(op->try_first, false) && op->list != nullptr) {
            result != -EAGAIN ? op->list->receives.hit() : op->list->receives.miss();
        }
        const verdict v = op->cancelled ? verdict::ended : after_call(*op, result);
        if (v == verdict::watch || v == verdict::poll || v == verdict::once_more) {
            wait_on(op, v);
            announce_pending();
            count_as(0);
            return false;
        }
        if (result == -EAGAIN) {
            result = v == verdict::refuse ? -EOPNOTSUPP : -ECANCELED;
        }
    }
    io_operation* const next = leave_turn(op);
    conclude(op, result);
    if (next != nullptr) {
        let_go(next);
        announce_pending();
    }
    return true;
}

}  // namespace rung::detail
