/// The loop: which handler runs next.

#include <algorithm>
#include <rung/detail/monotonic.hpp>
#include <rung/trace.hpp>
#include <utility>

#include "guest_events.hpp"
#include "scheduler.hpp"

namespace rung::detail {

/// To be called when what it looks at has changed.
void scheduler::note_events() noexcept {
    eventful_ = several_threads() || (urgent_io_ | urgent_waits_) != 0 || options_.measure_time ||
                left_behind_ || stopped_.load(std::memory_order_relaxed);
}

/// The next handler, if all that there is to do is to run it.
inline operation* scheduler::next_quickly() noexcept {
    if (!mutex_.try_lock_as_owner()) {
        return nullptr;
    }
    operation* op = nullptr;
    if (!eventful_ && inbox_.idle() && !ring_->ready() && --left_in_pass_ >= 0) [[likely]] {
        op = queue_.pop();
    }
    mutex_.unlock_as_owner();
    return op;
}

/// The next handler, once everything else has been seen to. Null if the loop is to end.
operation* scheduler::next(running_thread& self, std::int64_t deadline_ns) {
    lock_guard lock(*this);
    if (left_behind_) [[unlikely]] {
        refuse_to_run();
    }
    std::int64_t idle_since_ns = 0;
    for (;;) {
        if (stopped_.load(std::memory_order_relaxed)) {
            return nullptr;
        }
        if (inbox_.filled()) {
            drain_inbox();
        }
        if (ring_->ready()) {
            reap();
        }
        // With nothing to run, a pass would enter the kernel once more than the sleep that follows.
        const bool idle = queue_.empty() && self.own_.empty();
        if ((left_in_pass_ <= 0 && !idle) || eventful_) {
            look_around(lock, idle);
        }
        if (operation* const op = pop(self)) {
            --left_in_pass_;
            work_.hold();
            if (several_threads() && (!queue_.empty() || leader_ == nullptr)) {
                share_work();
            }
            return op;
        }
        if (out_of_work(&self)) {
            stop_locked();
            return nullptr;
        }
        const bool go_on = await_work(self, lock, deadline_ns, idle_since_ns);
        throw_error();
        if (!go_on) {
            return nullptr;
        }
    }
}

/// Everything a handler costs beside itself is in this function and in what is inlined into it.
[[gnu::always_inline]] inline bool scheduler::run_next(running_thread& self,
                                                       std::int64_t deadline_ns) {
    operation* op = next_quickly();
    if (op == nullptr) [[unlikely]] {
        op = next(self, deadline_ns);
        if (op == nullptr) {
            return false;
        }
        if (options_.measure_time) {
            execute_timed(op);
            return true;
        }
    }
    if (is_traced()) [[unlikely]] {
        execute_traced(op);
        return true;
    }
    op->complete();
    return true;
}

/// The operation to run next where several threads run the context: by turns one of this thread's own
/// and one of all threads'.
operation* scheduler::pop(running_thread& self) noexcept {
    if (!self.own_.empty()) {
        self.own_turn_ = !self.own_turn_;
        if (self.own_turn_ || queue_.empty()) {
            return self.own_.pop();
        }
    }
    return queue_.pop();
}

std::size_t scheduler::run(std::int64_t deadline_ns, std::size_t limit) {
    running_thread self(*this);
    const bool timed = deadline_ns != forever && deadline_ns != no_wait;
    self.bound(timed || limit != unlimited);
    std::size_t n = 0;
    while (run_next(self, deadline_ns)) {
        if (!self.notable_) [[likely]] {
            ++n;
            continue;
        }
        n += self.aftermath();
        if (n >= limit || (timed && monotonic_now_ns() >= deadline_ns)) {
            break;
        }
    }
    return n;
}

void scheduler::execute_traced(operation* op) {
    struct end {
        level before;
        ~end() { trace_handler_end(before); }
    };
    const end at_exit{trace_handler_begin(op->level_)};
    op->complete();
}

void scheduler::execute_timed(operation* op) {
    const std::int64_t begin_ns = clock::now_ns();
    op->complete();
    const std::int64_t spent_ns = clock::now_ns() - begin_ns;
    const lock_guard lock(*this);
    counters_.handler_time_ns += static_cast<std::uint64_t>(spent_ns);
}

/// What happens between handlers beside the inbox and the completion queue.
void scheduler::look_around(lock_guard& lock, bool idle) noexcept {
    note_events();  // restart() has no lock under which to do it
    if (left_in_pass_ <= 0 && !idle) {
        pass(lock);
        return;
    }
    // Urgent operations reach the kernel, and urgent completions overtake queued handlers, at once;
    // the others wait for the pass to end.
    if (urgent_pending_) {
        submit_pending();
    }
    if (urgent_io_ != 0 && ring_->pending_work()) {
        submit();
        reap();
    }
    if (urgent_waits_ != 0 && coarse_now_ns() >= next_urgent_ns_ - coarse_lag_ns) {
        const std::int64_t now_ns = monotonic_now_ns();
        if (now_ns >= next_urgent_ns_) {
            fire_urgent_timers(now_ns);
        }
    }
    if (several_threads() && leader_ != nullptr) {
        submit_pending();  // nobody else would until the sleeper wakes
    }
}

void scheduler::pass(lock_guard& lock) noexcept {
    // Other threads that end a handler while this one is in the kernel are not to follow it there.
    const int ran = ran_in_pass();
    left_in_pass_ = pass_length_;
    // What the kernel has for us became ready before what a call or an entry finds now, and is served
    // first. For a few operations that is not worth entering it twice.
    if (many_wait() && ring_->pending_work()) {
        submit(&lock);
        reap();
    }
    submit_pending(&lock);
    // Guests that have a turn to come are not watched for it, which saves them an entry and its end.
    const bool armed = (guests_ == nullptr || guests_->queued() == 0) && arm_guests();
    if (armed || ring_->pending_work()) {
        submit(&lock);
        reap();
    }
    begin_pass(lock, ran);
}

/// Sees to the timers and decides how long the next pass is: as the queue stands, so that what comes
/// meanwhile waits for one turn of it as in stock, and not much longer than a millisecond where
/// that takes longer. The clock is read where something depends on it.
void scheduler::begin_pass(const lock_guard& lock, std::int64_t ran) noexcept {
    constexpr std::int64_t longest_ns = 1'000'000;
    constexpr int few = 8;  // handlers of a pass for which time is not measured
    const std::int64_t began_ns = std::exchange(pass_began_ns_, 0);
    // What this pass began may have ended at once, and the next one is likely to begin more.
    const bool began_something = std::exchange(began_something_, false);
    punctual_ = began_something || waits_ != 0 || in_flight_ != 0 || guests_ != nullptr;
    const bool lent = !several_threads() && lock.by_mutex() && !mutex_.owned();
    const bool due =
        waits_ != 0 && coarse_now_ns() + coarse_lag_ns >= std::min(next_due_ns_, next_urgent_ns_);
    const auto ready = [this] { return static_cast<std::int64_t>(queue_.size()); };
    const bool lengthy = punctual_ && ready() > std::min(pass_limit_, few);
    if (due || lent || lengthy) {
        const std::int64_t now_ns = monotonic_now_ns();
        if (due) {
            fire_timers(now_ns);
        }
        if (lent) {
            own_again(lock, now_ns);
        }
        const std::int64_t took_ns = now_ns - began_ns;
        if (began_ns != 0 && took_ns > longest_ns) {
            pass_limit_ = static_cast<int>(std::max<std::int64_t>(ran * longest_ns / took_ns, 1));
        } else if (began_ns != 0 && took_ns < longest_ns / 2) {
            pass_limit_ = std::min(2 * pass_limit_, longest_pass);
        }
        pass_began_ns_ = now_ns;
    }
    pass_length_ = longest_pass;
    if (punctual_) {
        pass_length_ = static_cast<int>(std::clamp<std::int64_t>(ready(), 1, pass_limit_));
    }
    left_in_pass_ = pass_length_;
}

/// Makes this thread, the only one that runs the context, the lock's owner, if it is time for that.
void scheduler::own_again(const lock_guard& lock, std::int64_t now_ns) noexcept {
    if (!lock.by_mutex() || mutex_.owned()) {
        return;
    }
    mutex_.move_in();  // another one may have been at home, and left this one behind
    if (backoff_.may_own(mutex_.visits(), now_ns)) {
        mutex_.own();
    }
}

/// One poll at a time, so that guests with much to do cost an entry a turn of the loop at most. True
/// if it has added one. Before a sleep always: a turn may have left the queue and not run yet.
bool scheduler::arm_guests() noexcept {
    if (guests_ == nullptr || guests_armed_ || ring_->room() == 0) {
        return false;
    }
    ring_->add_guest_poll(guests_->descriptor());
    guests_armed_ = true;
    return true;
}

void scheduler::watch(guest_events* guests) noexcept {
    const lock_guard lock(*this);
    guests_ = guests;
    be_punctual();
    quiet_guests_.store(quiet_guests::ruled_out, std::memory_order_relaxed);
}

void scheduler::drain_inbox() noexcept {
    operation* op = inbox_.take();
    while (op != nullptr) {
        operation* const next = op->next_;
        queue_.push(op);
        ++counters_.remote_posts;
        op = next;
    }
}

void scheduler::fire_timers(std::int64_t now_ns) noexcept {
    if (urgent_waits_ != 0) {
        fire_urgent_timers(now_ns);
    }
    fire(timers_, now_ns);
    next_due_ns_ = timers_.next_ns();
}

bool scheduler::poll_ring(lock_guard& lock) noexcept {
    pass(lock);
    while (queue_.empty() && timers_behind()) {
        lock.unlock();
        lock.lock();
        fire_timers(monotonic_now_ns());
    }
    if (inbox_.filled()) {
        drain_inbox();
    }
    return !queue_.empty();
}

}  // namespace rung::detail
