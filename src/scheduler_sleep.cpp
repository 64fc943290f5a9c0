/// What a thread does that has no handler to run: it tries what waits, spins, sleeps.

#include <algorithm>
#include <rung/detail/monotonic.hpp>
#include <rung/detail/recycler.hpp>

#include "futex.hpp"
#include "guest_events.hpp"
#include "scheduler.hpp"
#include "spin_pause.hpp"

namespace rung::detail {

namespace {

// Sleeping costs some 5 µs, so that a shorter wait is better spent looking.
constexpr std::int64_t shortest_sleep_ns = 2'000;

/// Some microseconds, in which a thread that was woken for a mutex can take it.
void pause_a_little() noexcept {
    for (int i = 0; i < 100; ++i) {
        spin_pause();
    }
}

}  // namespace

/// Waits for something to do, once: it need not be there when this returns. False if the time is up.
///
/// Every decision is made anew after the lock was let go of, if only for a moment.
bool scheduler::await_work(running_thread& self, lock_guard& lock, std::int64_t deadline_ns,
                           std::int64_t& idle_since_ns) {
    if (quiet_guests_.load(std::memory_order_relaxed) == quiet_guests::possible &&
        look_for_guests(lock)) {
        return true;
    }
    if (deadline_ns == no_wait) {
        return poll_ring(lock);
    }
    if (leader_ != nullptr) {
        return follow(self, deadline_ns);
    }
    while (flush(true)) {
        submit();
        reap();
        if (ring_->room() == 0) {
            break;  // the kernel has no memory for requests just now
        }
    }
    std::int64_t until_ns = deadline_ns;
    std::int64_t now_ns = 0;
    if (waits_ != 0 || deadline_ns != forever) {
        now_ns = monotonic_now_ns();
        fire_timers(now_ns);
        until_ns = std::min(until_ns, next_timer_ns());
    }
    if (!queue_.empty()) {
        return true;
    }
    if (now_ns >= deadline_ns) {
        return poll_ring(lock);
    }
    if (until_ns - now_ns < shortest_sleep_ns) {
        pass(lock);
    } else if (options_.spin_before_sleep.count() == 0 || !spin(self, lock, idle_since_ns)) {
        if (recycler::has_surplus()) {
            until_ns = std::min(until_ns, recycler::give_back(monotonic_now_ns()));
        }
        sleep(self, lock, until_ns);
    }
    return true;
}

/// Lets others have the lock for a moment, instead of sleeping. False if that has gone on for long
/// enough.
bool scheduler::spin(running_thread& self, lock_guard& lock, std::int64_t& idle_since_ns) noexcept {
    const std::int64_t now_ns = monotonic_now_ns();
    if (idle_since_ns == 0) {
        idle_since_ns = now_ns;
    }
    if (now_ns - idle_since_ns >= options_.spin_before_sleep.count()) {
        return false;
    }
    pass_began_ns_ = 0;
    if (!several_threads()) {
        own_again(lock, now_ns);
    }
    arm_guests();
    if (ring_->unsubmitted() != 0 || ring_->pending_work()) {
        submit(&lock);
        reap();
        return true;
    }
    self.idle_ = true;
    const bool owned = !lock.by_mutex();
    lock.unlock();
    if (!owned) {
        // Whoever sleeps for a plain mutex has to be woken first, and would find it taken again.
        pause_a_little();
    }
    lock.lock();
    self.idle_ = false;
    return true;
}

/// Whether nothing can come but what other threads post: then a futex is the cheaper bed.
bool scheduler::may_leave_ring() const noexcept {
    return in_flight_ == 0 && guests_ == nullptr && !several_threads() &&
           ring_->unsubmitted() == 0 && ring_->may_be_left();
}

/// Sleeps outside of the ring, until somebody wakes the loop or the time is up.
int scheduler::sleep_outside(std::int64_t until_ns) noexcept {
    futex_wait(&on_futex_, 1, until_ns);
    on_futex_.store(0, std::memory_order_relaxed);
    return 0;
}

/// Has those watched that came without a word. True if there are, after a while without the lock.
bool scheduler::look_for_guests(lock_guard& lock) {
    quiet_guests_.store(quiet_guests::unlikely, std::memory_order_relaxed);
    if (!has_quiet_guests(context_)) {
        return false;
    }
    lock.unlock();
    try {
        watch_quiet_guests(context_);
    } catch (...) {
        lock.lock();
        quiet_guests_.store(quiet_guests::possible, std::memory_order_relaxed);
        throw;
    }
    lock.lock();
    return true;
}

void scheduler::sleep(running_thread& self, lock_guard& lock, std::int64_t until_ns) {
    const bool outside = may_leave_ring();
    if (!outside && !wake_armed_) {
        if (ring_->room() == 0) {
            submit();
            return;
        }
        ring_->add_wake(event_);
        wake_armed_ = true;
    }
    if (guests_ != nullptr && !guests_armed_ && ring_->room() == 0) {
        submit();  // nothing of theirs would be seen during the sleep
        return;
    }
    arm_guests();
    if (several_threads() && ring_->unsubmitted() != 0) {
        submit(&lock);  // others may add entries while this thread sleeps
        return;         // and anything may have come meanwhile
    }
    on_futex_.store(outside ? 1 : 0, std::memory_order_relaxed);  // released by inbox_.sleep()
    if (!self.own_.empty() || !inbox_.sleep()) {
        return;
    }
    // A pass may have let go of the lock after the last look at this; and whoever begins work of guests
    // looks for a sleeper after that.
    if (stopped_.load(std::memory_order_relaxed) ||
        quiet_guests_.load(std::memory_order_seq_cst) == quiet_guests::possible) {
        wakes_owed_ += inbox_.interrupt() ? 0 : 1;
        return;
    }
    const unsigned count = several_threads() ? 0 : ring_->publish();
    const bool timed = until_ns != forever;
    const std::int64_t begin_ns = timed || options_.measure_time ? clock::now_ns() : 0;
    const std::int64_t timeout_ns = timed ? std::max<std::int64_t>(until_ns - begin_ns, 1) : -1;
    leader_until_ns_ = until_ns;
    ++counters_.sleeps;
    ++counters_.system_calls;
    leader_ = &self;
    self.idle_ = true;
    lock.unlock();
    const int error = outside ? sleep_outside(until_ns) : ring_->wait(count, true, timeout_ns);
    lock.lock();
    leader_ = nullptr;
    self.idle_ = false;
    if (!inbox_.interrupt()) {
        ++wakes_owed_;
    }
    ring_->refresh();
    reap();
    left_in_pass_ = 0;  // timers may be due, and what has come is a turn of the queue
    pass_began_ns_ = 0;
    if (!several_threads() && lock.by_mutex()) {
        own_again(lock, monotonic_now_ns());
    }
    if (options_.measure_time) {
        counters_.sleep_time_ns += static_cast<std::uint64_t>(clock::now_ns() - begin_ns);
    }
    note_error(error);
}

bool scheduler::follow(running_thread& self, std::int64_t deadline_ns) {
    // There are several threads, so that nobody owns the lock and this one holds it by the mutex.
    std::unique_lock lock(mutex_.native(), std::adopt_lock);
    ++idle_;
    self.idle_ = true;
    bool in_time = true;
    if (deadline_ns == forever) {
        work_available_.wait(lock);
    } else {
        const clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
        in_time = work_available_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    }
    --idle_;
    self.idle_ = false;
    lock.release();
    return in_time || !queue_.empty();
}

}  // namespace rung::detail
