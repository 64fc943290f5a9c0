/// Operations whose call is made in their handler's turn: doc/decisions/0054.

#include <cerrno>
#include <utility>

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
        ++submitting_;  // until the call is over, nobody may close the descriptor
        lock.unlock();
        result = try_transfer(*op);
        lock.lock();
        --submitting_;
        const bool tried = std::exchange(op->try_first, false);
        if (result != -EAGAIN) {
            ++counters_.speculated;
            if (tried && op->list != nullptr) {
                op->list->receives.hit();
            }
        } else if (op->cancelled) {
            result = -ECANCELED;
        } else {
            if (tried) {
                op->list->receives.miss();
            }
            op->polling = true;
            add_pending(op);
            announce_pending();
            count_as(0);
            return false;
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
