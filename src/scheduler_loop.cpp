/// The loop: which handler runs next, and how long to sleep for one.

#include <algorithm>
#include <array>
#include <rung/trace.hpp>
#include <utility>

#include "guest_events.hpp"
#include "scheduler.hpp"

namespace rung::detail {

namespace {

// Handlers between two looks at the ring, the timers and what waits to be submitted.
constexpr unsigned pass_length = 64;
// Sleeping costs some 5 µs, so that a shorter wait is better spent looking.
constexpr std::int64_t shortest_sleep_ns = 2'000;

}  // namespace

/// To be called when what it looks at has changed.
void scheduler::note_events() noexcept {
    eventful_ = several_threads_ || (urgent_io_ | urgent_waits_) != 0 || options_.measure_time;
}

/// The next handler, if all that there is to do is to run it.
inline operation* scheduler::next_quickly() noexcept {
    if (!mutex_.try_lock_as_owner()) {
        return nullptr;
    }
    operation* op = nullptr;
    if (!eventful_ && inbox_.idle() && !stopped_.load(std::memory_order_relaxed) &&
        !ring_->ready() && since_pass_ < pass_length) [[likely]] {
        ++since_pass_;
        op = queue_.pop();
    }
    mutex_.unlock_as_owner();
    return op;
}

/// The next handler, once everything else has been seen to. Null if the loop is to end.
operation* scheduler::next(running_thread& self, std::int64_t deadline_ns) {
    lock_guard lock(*this);
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
        if (++since_pass_ >= pass_length || eventful_) {
            look_around(lock);
        }
        if (operation* const op = pop(self)) {
            if (several_threads_ && (!queue_.empty() || leader_ == nullptr)) {
                share_work();
            }
            return op;
        }
        if (out_of_work(&self)) {
            stop_locked();
            return nullptr;
        }
        const bool go_on = await_work(self, lock, deadline_ns);
        throw_error();
        if (!go_on) {
            return nullptr;
        }
    }
}

/// Everything a handler costs beside itself is in this function and in what is inlined into it.
[[gnu::always_inline]] inline bool scheduler::run_next(running_thread& self, std::int64_t deadline_ns) {
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
    std::size_t n = 0;
    const bool timed = deadline_ns != forever && deadline_ns != no_wait;
    while (n < limit && run_next(self, deadline_ns)) {
        n += self.aftermath();
        if (timed && clock::now_ns() >= deadline_ns) {
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
void scheduler::look_around(lock_guard& lock) noexcept {
    if (since_pass_ >= pass_length) {
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
    if (urgent_waits_ != 0) {
        fire_timers(clock::now_ns());
    }
    if (several_threads_ && leader_ != nullptr) {
        submit_pending();  // nobody else would until the sleeper wakes
    }
}

void scheduler::pass(lock_guard& lock) noexcept {
    since_pass_ = 0;
    submit_pending(&lock);
    if (arm_guests() || ring_->pending_work()) {
        submit(&lock);
        reap();
    }
    if (waits_ != 0) {
        fire_timers(clock::now_ns());
    }
}

/// One poll at a time, so that guests with much to do cost an entry a turn of the loop at most. True
/// if it has added one.
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
    // The rest has its turn after these handlers, which find their timers still in the cache. What
    // has been asked of memory for all of them arrives while the first are seen to.
    constexpr std::size_t most = 64;
    std::array<timer_node*, most> due;
    std::size_t n = 0;
    while (n < most) {
        timer_node* const t = timers_.expire(now_ns);
        if (t == nullptr) {
            break;
        }
        __builtin_prefetch(t);
        due[n++] = t;
    }
    for (std::size_t i = 0; i < n; ++i) {
        __builtin_prefetch(due[i]->waits.front(), 1);
    }
    for (std::size_t i = 0; i < n; ++i) {
        timer_node& t = *due[i];
        if (t.recheck != nullptr) {
            const std::int64_t deadline_ns = t.recheck(t);
            if (deadline_ns > now_ns) {
                t.deadline_ns = deadline_ns;
                timers_.arm(t);
                continue;
            }
        }
        while (operation* const op = t.waits.pop()) {
            finish_wait(static_cast<wait_operation*>(op), false);
        }
    }
}

bool scheduler::poll_ring(lock_guard& lock) noexcept {
    pass(lock);
    if (inbox_.filled()) {
        drain_inbox();
    }
    return !queue_.empty();
}

bool scheduler::await_work(running_thread& self, lock_guard& lock, std::int64_t deadline_ns) {
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
        now_ns = clock::now_ns();
        fire_timers(now_ns);
        until_ns = std::min(until_ns, timers_.next_ns());
    }
    if (!queue_.empty()) {
        return true;
    }
    if (now_ns >= deadline_ns) {
        return poll_ring(lock);
    }
    if (until_ns - now_ns < shortest_sleep_ns) {
        pass(lock);
        return true;
    }
    if (options_.spin_before_sleep.count() != 0) {
        if (spin(lock, until_ns)) {
            return true;
        }
        now_ns = clock::now_ns();
    }
    sleep(self, lock, now_ns, until_ns);
    return true;
}

/// Looks for work without sleeping. True if there is some, or if the time is up.
bool scheduler::spin(lock_guard& lock, std::int64_t until_ns) noexcept {
    submit_pending();
    const std::int64_t end_ns =
        std::min(until_ns, clock::now_ns() + options_.spin_before_sleep.count());
    for (;;) {
        if (ring_->pending_work()) {
            submit();
        }
        if (!queue_.empty() || cancels_ != nullptr || in_flight_ != in_kernel_ ||
            inbox_.filled() || ring_->ready() || stopped_.load(std::memory_order_relaxed)) {
            return true;
        }
        if (clock::now_ns() >= end_ns) {
            return until_ns <= end_ns;
        }
        lock.unlock();  // for what other threads start, cancel or stop
        lock.lock();
    }
}

void scheduler::sleep(running_thread& self, lock_guard& lock, std::int64_t now_ns,
                      std::int64_t until_ns) {
    if (!wake_armed_) {
        if (ring_->room() == 0) {
            submit();
            return;
        }
        ring_->add_wake(event_);
        wake_armed_ = true;
    }
    arm_guests();
    if (several_threads_ && ring_->unsubmitted() != 0) {
        submit(&lock);  // others may add entries while this thread sleeps
        return;         // and anything may have come meanwhile
    }
    if (!self.own_.empty() || !inbox_.sleep()) {
        return;
    }
    // Whoever stops the loop or gives up the last work looks for a sleeper after that.
    if (stopped_.load(std::memory_order_seq_cst) || out_of_work(&self)) {
        inbox_.interrupt();
        return;
    }
    const unsigned count = several_threads_ ? 0 : ring_->publish();
    const std::int64_t timeout_ns = until_ns == forever ? -1 : until_ns - now_ns;
    const std::int64_t begin_ns = options_.measure_time ? clock::now_ns() : 0;
    leader_until_ns_ = until_ns;
    since_pass_ = 0;
    ++counters_.sleeps;
    ++counters_.system_calls;
    leader_ = &self;
    self.idle_ = true;
    lock.unlock();
    const int error = ring_->wait(count, true, timeout_ns);
    lock.lock();
    leader_ = nullptr;
    self.idle_ = false;
    if (!inbox_.interrupt()) {
        ++wakes_owed_;
    }
    ring_->refresh();
    reap();
    if (!several_threads_) {
        mutex_.own();
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
