/// Threads that enter and leave the loop, and what any thread may ask of it.

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/multiple_exceptions.hpp>
#include <rung/detail/monotonic.hpp>
#include <rung/error.hpp>

#include "futex.hpp"
#include "guest_events.hpp"
#include "scheduler.hpp"

namespace rung::detail {

constinit thread_local thread_state* this_thread_state = nullptr;

running_thread::running_thread(scheduler& s)
    : thread_state{&s, this_thread_state}, scheduler_(s), nested_in_(s.self()) {
    s.enter(*this);
    this_thread_state = this;
}

running_thread::~running_thread() {
    scheduler_.leave(*this);
    this_thread_state = outer;
}

void running_thread::capture_exception() noexcept {
    notable_ = true;
    if (exception_ == nullptr) {
        exception_ = std::current_exception();
    } else if (!std::exchange(several_exceptions_, true)) {
        exception_ = std::make_exception_ptr(boost::asio::multiple_exceptions(exception_));
    }
}

void scheduler::enter(running_thread& self) {
    const lock_guard lock(*this);
    if (threads_ == nullptr) {
        ring_error_ = 0;  // a failure of an earlier run shows again if it lasts
        pass_began_ns_ = 0;
        if (lock.by_mutex()) {
            own_again(lock, monotonic_now_ns());
        }
    } else {
        meet_others(self);
    }
    self.next_ = threads_;
    threads_ = &self;
}

/// Enters where another thread, or this one, is inside.
void scheduler::meet_others(const running_thread& self) {
    if (self.nested_in_ == nullptr) {
        counters_.extra_runners += options_.concurrency_hint == 1 ? 1 : 0;
        mutex_.disown();
        several_threads_.store(true, std::memory_order_relaxed);
        note_events();
        wake_if_asleep();  // outside of the ring it would not see what this one starts there
    }
    if (guests_ != nullptr) {
        if (operation* const turn = guests_->entered()) {
            queue_.push(turn);
        }
    }
}

void scheduler::leave(running_thread& self) noexcept {
    const lock_guard lock(*this);
    submit_pending();  // what the last handler started must not wait for the next run
    running_thread** at = &threads_;
    while (*at != &self) {
        at = &(*at)->next_;
    }
    *at = self.next_;
    bring_back(self);
    if (threads_ == nullptr || threads_->next_ == nullptr) {
        // The one that remains may own the lock again; see pass().
        several_threads_.store(false, std::memory_order_relaxed);
        note_events();
        if (threads_ != nullptr) {
            bring_back(*threads_);
        }
    }
    if (stopped()) {
        return;
    }
    // The thread that leaves, maybe by an exception, may have been the one that would have noticed.
    if (out_of_work(nullptr)) {
        stop_locked();
    } else if (threads_ != nullptr) {
        share_work();
    }
}

/// Whether the calling handler may do more than its share, since there is nothing else to do but what
/// it has queued itself: `own` operations. What it does brings the next look at the ring nearer.
bool scheduler::nothing_else(std::uint64_t own) noexcept {
    const running_thread& here = *self();
    const lock_guard lock(*this);
    const bool others = own == 0 ? !queue_.empty() : queue_.size() > own;
    if (others || here.notable_ || eventful_ || !inbox_.idle() || ring_->ready()) {
        return false;
    }
    ++pass_length_;
    if (ran_in_pass() >= pass_limit_) {
        left_in_pass_ = 0;
        return false;
    }
    return true;
}

void scheduler::count_as(unsigned n) noexcept {
    if (running_thread* const t = self()) {
        t->count_as(n);
    }
}

void scheduler::stop() noexcept {
    const lock_guard lock(*this);
    stop_locked();
}

void scheduler::stop_locked() noexcept {
    stopped_.store(true, std::memory_order_seq_cst);  // pairs with the check in sleep()
    note_events();
    work_available_.notify_all();
    wake_if_asleep();
}

void scheduler::wake_if_asleep() noexcept {
    if (inbox_.interrupt()) {
        wake();
    }
}

void scheduler::wake() noexcept {
    // A wake-up that comes late, for a sleep that is over, may find another one of either kind, and
    // ends that for nothing.
    const bool on_futex = on_futex_.exchange(0, std::memory_order_acq_rel) != 0;
    if (!on_futex) {
        const std::uint64_t one = 1;
        // The counter is never read, and cannot overflow in the life of a process.
        static_cast<void>(::write(event_, &one, sizeof one) == sizeof one);
    }
    wake_ups_.fetch_add(1, std::memory_order_release);  // pairs with ~scheduler
    if (on_futex) {
        futex_wake(&on_futex_);
    }
}

void scheduler::share_work() noexcept {
    if (idle_ > 0) {
        work_available_.notify_one();
    } else if (leader_ != nullptr) {
        wake_if_asleep();
    }
}

/// Posts on a thread that does not own the lock.
void scheduler::post_elsewhere(operation* op) noexcept {
    if (self() == nullptr) {
        if (inbox_.push(op)) {
            wake();
        }
        return;
    }
    const lock_guard lock(*this);
    queue_.push(op);
    if (several_threads()) {
        share_work();
    }
}

/// Posts on a thread that has announced itself as the lock's owner and is that no more.
void scheduler::post_when_revoked(operation* op, biased_mutex::cell* here) noexcept {
    biased_mutex::leave(here);
    post_elsewhere(op);
}

bool scheduler::post_to_thread(operation* op, const void* thread) noexcept {
    const lock_guard lock(*this);
    if (!several_threads()) {
        return false;
    }
    for (running_thread* t = threads_; t != nullptr; t = t->next_) {
        if (t->thread_ == thread) {
            t->own_.push(op);
            if (t == leader_) {
                wake_if_asleep();
            } else if (t->idle_) {
                work_available_.notify_all();  // the one that is meant is among them
            }
            return true;
        }
    }
    return false;
}

/// What was meant for a thread that leaves is for any thread.
void scheduler::bring_back(running_thread& t) noexcept {
    while (operation* const op = t.own_.pop()) {
        queue_.push(op);
    }
}

void scheduler::complete_now(io_operation* op, bool speculated) noexcept {
    if (speculated) {
        const lock_guard lock(*this);
        ++counters_.speculated;
    }
    post(op);
}

void scheduler::work_started() noexcept {
    if (mutex_.try_lock_as_owner()) {
        work_.add(1);
        if (quiet_guests_.load(std::memory_order_relaxed) == quiet_guests::unlikely) {
            quiet_guests_.store(quiet_guests::possible, std::memory_order_relaxed);
        }
        mutex_.unlock_as_owner();
    } else {
        work_.begin();
        if (quiet_guests_.load(std::memory_order_relaxed) != quiet_guests::ruled_out) {
            note_foreign_work();
        }
    }
}

/// Work of a guest begins after the guest has come. Before it sleeps, the loop looks for those that
/// did not say so; while it sleeps, whoever begins work does.
void scheduler::note_foreign_work() noexcept {
    auto before = quiet_guests::unlikely;
    quiet_guests_.compare_exchange_strong(before, quiet_guests::possible,
                                          std::memory_order_seq_cst,  // pairs with sleep()
                                          std::memory_order_relaxed);
    if (inbox_.asleep() && has_quiet_guests(context_)) {
        wake_if_asleep();
    }
}

void scheduler::work_finished() noexcept {
    if (mutex_.try_lock_as_owner()) {
        work_.add(-1);
        mutex_.unlock_as_owner();
        return;
    }
    if (!work_.end_unless_last()) {
        const lock_guard lock(*this);
        work_.end();
        wake_if_asleep();
    }
}

bool scheduler::out_of_work(const running_thread* self) noexcept {
    if (!queue_.empty() || in_flight_ != 0 || waits_ != 0) {
        return false;
    }
    for (const running_thread* t = threads_; t != nullptr; t = t->next_) {
        if ((t != self && !t->idle_) || !t->own_.empty()) {
            return false;
        }
    }
    // Work that is given up after a post is seen given up only with the post.
    return work_.settle() && !inbox_.filled();
}

}  // namespace rung::detail
