/// Operations on their way into the kernel and back.

#include <cerrno>
#include <utility>

#include "guest_events.hpp"
#include "io_policy.hpp"
#include "scheduler.hpp"
#include "transfer.hpp"

namespace rung::detail {

void scheduler::start(io_operation* op, io_list* list, cancel_link* link) noexcept {
    const lock_guard lock(*this);
    if (link != nullptr) {
        link->op.store(op, std::memory_order_release);
        op->link = link;
    }
    ++in_flight_;
    be_punctual();
    if (op->level_ == level::high) {
        ++urgent_io_;
        note_events();
    }
    io_operation* const ahead = op->in_turn ? newest_like(*list, *op) : nullptr;
    if (list != nullptr) {
        list->push(op);
    }
    if (ahead != nullptr) {
        // The kernel wakes the last that began to wait, and so would mix up bytes and connections.
        op->at = io_operation::state::behind;
        op->ahead = ahead;
        ahead->behind = op;
        return;
    }
    add_pending(op);
    announce_pending();
}

/// Sees to it that what has come to `pending_` gets an entry.
void scheduler::announce_pending() noexcept {
    if (self() == nullptr) {
        wake_if_asleep();
    } else if (several_threads() && leader_ != nullptr) {
        submit_pending();  // the handler may wait for it, and the sleeper would not know
    }
}

io_operation* scheduler::newest_transfer(const io_list& list, bool receives) noexcept {
    return list.newest(
        [receives](const io_operation& o) { return receives ? o.receives() : o.sends(); });
}

/// The one behind which an operation waits for its turn, or null.
io_operation* scheduler::newest_like(const io_list& list, const io_operation& op) noexcept {
    if (op.kind != io_kind::accept) {
        return newest_transfer(list, op.receives());
    }
    return list.newest(
        [](const io_operation& o) { return o.kind == io_kind::accept && o.in_turn; });
}

bool scheduler::has_transfers(const io_list& list, bool receives) noexcept {
    const lock_guard lock(*this);
    return newest_transfer(list, receives) != nullptr;
}

/// The list of those that wait for an entry at the level of `op`.
io_queue& scheduler::pending_of(const io_operation& op) noexcept {
    return pending_[static_cast<std::size_t>(op.io_level)];
}

void scheduler::add_pending(io_operation* op) noexcept {
    op->at = io_operation::state::waiting;
    pending_of(*op).push(op);
    urgent_pending_ = urgent_pending_ || op->level_ == level::high;
}

inline void scheduler::queue_entry(io_operation* op) noexcept {
    // Many large receives that the kernel ends together fill more than a core's cache before the
    // first handler sees its bytes. Beyond that much they wait for readiness only, and each is
    // received when its handler can run next.
    constexpr std::size_t large = 1024;
    constexpr std::size_t cached = std::size_t{256} << 10;
    const bool receive = op->kind == io_kind::receive;
    const bool urgent = op->level_ == level::high || op->io_level == level::high;
    if (receive && !op->by_poll && op->length >= large && receiving_bytes_ + op->length > cached &&
        !urgent && !several_threads()) {
        op->by_poll = true;
    }
    op->at = io_operation::state::in_kernel;
    ++in_kernel_;
    entries_.add(*op);
    low_in_kernel_ += op->io_level == level::low ? 1 : 0;
    receiving_bytes_ += receive && !op->by_poll ? op->length : 0;
    ++counters_.submissions;
    ring_->add(*op);
}

/// The other side of queue_entry, before anything of the operation changes.
void scheduler::left_kernel(const io_operation& op) noexcept {
    --in_kernel_;
    entries_.remove(op);
    low_in_kernel_ -= op.io_level == level::low ? 1 : 0;
    receiving_bytes_ -= op.kind == io_kind::receive && !op.by_poll ? op.length : 0;
}

/// Gives entries to what waits for one, urgent ones first. True if some did not fit.
///
/// With `hungry`, it stops as soon as there is a handler to run: what that does may well be what the
/// next operation waits for.
bool scheduler::flush(bool hungry) noexcept {
    if (in_flight_ == in_kernel_ && cancels_.empty()) {
        return false;
    }
    flush_cancels();
    if (!cancels_.empty()) {
        return true;
    }
    const bool many = many_wait();  // one system call has the ring try them all
    for (auto& waiting : pending_) {
        while (io_operation* const op = waiting.front()) {
            if (hungry && !queue_.empty()) {
                return false;
            }
            if (op->io_level == level::low && options_.low_io_in_flight != 0 &&
                low_in_kernel_ >= options_.low_io_in_flight) {
                break;
            }
            if (ring_->room() == 0) {
                ++counters_.submission_overflows;
                return true;
            }
            waiting.remove(op);
            if (!try_now(op, many)) {
                queue_entry(op);
            }
        }
    }
    return false;
}

/// Tries a receive that has not been tried, if it is likely to succeed. True if it did, or failed.
inline bool scheduler::try_now(io_operation* op, bool many) noexcept {
    if (op->takes_late) {
        if (op->try_first && op->list->receives.worth_trying()) {
            call_in_turn(op);
            return true;
        }
        op->try_first = false;
        return false;
    }
    // With several threads the lock is not to be held over a call that the ring can make.
    if (!std::exchange(op->try_first, false) || many || several_threads()) {
        return false;
    }
    speculation& hint = op->list->receives;
    if (hint.worth_trying()) {
        const std::int32_t result = try_transfer(*op);
        if (result != -EAGAIN && result != -EOPNOTSUPP) {
            hint.hit();
            ++counters_.speculated;
            finish(op, result);
            return true;
        }
        hint.miss();
    }
    op->poll_first = true;
    return false;
}

/// Hands over the entries there are. With a lock, it may let go of it meanwhile: the kernel does what
/// can be done at once, and where several threads run the context the others need not wait for that.
void scheduler::submit(lock_guard* lock) noexcept {
    ++counters_.system_calls;
    if (lock == nullptr || !several_threads()) {
        note_error(ring_->submit());
        return;
    }
    const unsigned count = ring_->publish();
    ++submitting_;
    lock->unlock();
    const int error = ring_->wait(count, false, -1);
    lock->lock();
    --submitting_;
    ring_->refresh();
    note_error(error);
}

void scheduler::submit_pending(lock_guard* lock) noexcept {
    urgent_pending_ = false;
    bool more = true;
    while (more) {
        more = flush(false);
        if (ring_->unsubmitted() == 0) {
            return;
        }
        submit(lock);
        reap();  // what ends at once makes room for the rest
        more = more && ring_->room() != 0;
    }
}

void scheduler::note_error(int error) noexcept {
    switch (-error) {
        case 0:
        case EINTR:   // a signal: the loop looks at everything again
        case ETIME:   // the wait has passed
        case EAGAIN:  // no memory for a request: its entry stays in the queue
        case EBUSY:   // completions overflow: they are taken before the next submission
            break;
        default:
            ring_error_ = -error;
            break;
    }
}

void scheduler::throw_error() {
    if (ring_error_ != 0) [[unlikely]] {
        throw boost::system::system_error(std::exchange(ring_error_, 0),
                                          boost::system::system_category(),
                                          "rung::io_context: entering the ring failed");
    }
}

void scheduler::reap() noexcept {
    if (leader_ != nullptr) {
        return;  // a completion taken from under a sleeper could be the one that was to wake it
    }
    while (ring_->ready()) {
        const completion c = ring_->take();
        if (c.tag > ring::last_tag) {
            completed(reinterpret_cast<io_operation*>(c.tag), c);
        } else if (c.tag == ring::wake_tag && !c.more) {
            wake_armed_ = false;
        } else if (c.tag == ring::guest_tag) {
            guests_armed_ = false;
            operation* const turn = guests_ != nullptr ? guests_->ready() : nullptr;
            if (turn != nullptr) {
                queue_.push(turn);
            }
        }
    }
    ring_->release_taken();
}

void scheduler::completed(io_operation* op, const completion& c) noexcept {
    ++counters_.completions;
    if (c.more) [[unlikely]] {
        watched(op);
        return;
    }
    left_kernel(*op);
    if (op->by_poll || c.result < 0) {
        answered(op, c.result);
    } else {
        finish(op, c.result);
    }
}

/// Takes an operation out of its turn. Gives the one behind it, if that is the first now.
io_operation* scheduler::leave_turn(io_operation* op) noexcept {
    io_operation* const next = std::exchange(op->behind, nullptr);
    io_operation* const ahead = std::exchange(op->ahead, nullptr);
    if (ahead != nullptr) {
        ahead->behind = next;
    }
    if (next != nullptr) {
        next->ahead = ahead;
    }
    return ahead == nullptr ? next : nullptr;
}

/// Parts an operation from everything but its handler.
void scheduler::conclude(io_operation* op, std::int32_t result) noexcept {
    if (op->queue_before != nullptr) {
        cancels_.remove(op);
    }
    io_list::unlink(op);
    op->unlink_slot();
    op->at = io_operation::state::ended;
    op->result = result;
    --in_flight_;
    if (op->level_ == level::high) {
        --urgent_io_;
        note_events();
    }
}

/// Lets the operations behind one go that has left its turn: the first that is not cancelled.
void scheduler::let_go(io_operation* next) noexcept {
    while (next != nullptr && next->cancelled) {
        io_operation* const op = std::exchange(next, leave_turn(next));
        conclude(op, -ECANCELED);
        queue_.push(op);
    }
    if (next == nullptr) {
        return;
    }
    if (next->by_poll) {
        call_in_turn(next);  // nobody has tried it yet
    } else {
        add_pending(next);
    }
}

/// Ends an operation and lets the one behind it go.
void scheduler::finish(io_operation* op, std::int32_t result) noexcept {
    io_operation* const next = leave_turn(op);
    conclude(op, result);
    queue_.push(op);
    let_go(next);
}

}  // namespace rung::detail
