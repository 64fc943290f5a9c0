#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/biased_mutex.hpp>
#include <rung/detail/engine.hpp>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/io_context.hpp>
#include <rung/statistics.hpp>
#include <utility>

#include "entry_table.hpp"
#include "fork_guarded.hpp"
#include "inbox.hpp"
#include "io_policy.hpp"
#include "ownership_backoff.hpp"
#include "ring.hpp"
#include "run_queue.hpp"
#include "running_thread.hpp"
#include "timers.hpp"
#include "work_count.hpp"

namespace rung::detail {

class clock_timers;
class guest_events;

/// The engine behind an `io_context`: run queues, ring, timers, and the loop over them.
///
/// One lock guards it, which costs its owner next to nothing. The thread that made the context owns
/// it at first, then the one that runs it; nobody does while several run it, or while other threads
/// take it often.
/// Handlers run without it. Only threads in `run…`, `poll…` or `shutdown` touch the ring; what others
/// start or cancel waits in a list, and the loop is woken.
class scheduler final : private fork_guarded {
public:
    static constexpr std::int64_t forever = timers::never;
    static constexpr std::int64_t no_wait = std::numeric_limits<std::int64_t>::min();
    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
    /// The most handlers between two looks at the ring, the timers and what waits to be submitted.
    static constexpr int longest_pass = 64;

    /// Throws `system_error` for an option that cannot be used. Without a backend it makes one.
    scheduler(io_context& context, const io_context_options& options,
              std::unique_ptr<ring_backend> backend);
    ~scheduler();
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;

    io_context& context() const noexcept { return context_; }
    const io_context_options& options() const noexcept { return options_; }
    rung::backend backend() const noexcept { return ring_->kind(); }

    /// Runs at most `limit` handlers, waiting for them until `deadline_ns` on CLOCK_MONOTONIC.
    std::size_t run(std::int64_t deadline_ns, std::size_t limit);
    void stop() noexcept;
    bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }
    void restart() noexcept { stopped_.store(false, std::memory_order_release); }
    rung::statistics statistics() noexcept;

    /// Destroys every handler, once the kernel has let go of their buffers.
    void shutdown() noexcept;

    // Around a fork; see scheduler_fork.cpp.
    void settle_before_fork() noexcept;
    void go_on_as_child();

    // For guests; see guests.cpp.
    void watch(guest_events* guests) noexcept;
    void expect_guests() noexcept { quiet_guests_ = quiet_guests::unlikely; }
    void leave_guests_to_asio(guest_thread_end end) noexcept { guest_thread_end_ = end; }
    void end_guest_thread(boost::asio::execution_context& c) const {
        if (guest_thread_end_ != nullptr) {
            guest_thread_end_(c);
        }
    }
    /// Without the lock it is a hint: another thread may enter or leave meanwhile.
    bool several_threads() const noexcept {
        return several_threads_.load(std::memory_order_relaxed);
    }
    bool nothing_else(std::uint64_t own) noexcept;

    // The door's other side; see engine.hpp.
    void post(operation* op) noexcept;
    bool post_to_thread(operation* op, const void* thread) noexcept;
    void count_as(unsigned n) noexcept;
    void complete_now(io_operation* op, bool speculated) noexcept;
    void work_started() noexcept;
    void work_finished() noexcept;
    void start(io_operation* op, io_list* list, cancel_link* link) noexcept;
    bool has_transfers(const io_list& list, bool receives) noexcept;
    bool attempt(io_operation* op, operation::action what) noexcept;
    void cancel_all(io_list& list) noexcept;
    void detach(io_list& list, engine::departure d, int socket) noexcept;
    void move_list(io_list& to, io_list& from) noexcept;
    void cancel(cancel_link& link) noexcept;
    void unlink(cancel_link& link) noexcept;
    void wait(timer_node& t, std::int64_t deadline_ns, wait_operation* op, cancel_link* link);
    std::size_t cancel_waits(timer_node& t, std::size_t limit) noexcept;
    void cancel_wait(cancel_link& link) noexcept;
    void remove_timer(timer_node& t) noexcept;
    void move_timer(timer_node& to, timer_node& from) noexcept;

private:
    friend class running_thread;
    class lock_guard;

    /// This thread's innermost activation, or null.
    running_thread* self() const noexcept;

    // scheduler_loop.cpp
    bool run_next(running_thread& self, std::int64_t deadline_ns);
    operation* next_quickly() noexcept;
    operation* next(running_thread& self, std::int64_t deadline_ns);
    void note_events() noexcept;
    void refuse_to_run() const;
    operation* pop(running_thread& self) noexcept;
    void execute_timed(operation* op);
    static void execute_traced(operation* op);
    void be_punctual() noexcept;
    void look_around(lock_guard& lock, bool idle) noexcept;
    bool poll_ring(lock_guard& lock) noexcept;
    int ran_in_pass() const noexcept;
    void begin_pass(const lock_guard& lock, std::int64_t ran) noexcept;
    void own_again(const lock_guard& lock, std::int64_t now_ns) noexcept;
    bool out_of_work(const running_thread* self) noexcept;
    void stop_locked() noexcept;
    void share_work() noexcept;
    void wake() noexcept;
    void wake_if_asleep() noexcept;
    void note_foreign_work() noexcept;
    void post_elsewhere(operation* op) noexcept;
    void post_when_revoked(operation* op, biased_mutex::cell* here) noexcept;
    void drain_inbox() noexcept;
    void pass(lock_guard& lock) noexcept;
    void fire_timers(std::int64_t now_ns) noexcept;
    bool arm_guests() noexcept;

    // scheduler_sleep.cpp
    bool await_work(running_thread& self, lock_guard& lock, std::int64_t deadline_ns,
                    std::int64_t& idle_since_ns);
    bool spin(running_thread& self, lock_guard& lock, std::int64_t& idle_since_ns) noexcept;
    void sleep(running_thread& self, lock_guard& lock, std::int64_t until_ns);
    bool may_leave_ring() const noexcept;
    int sleep_outside(std::int64_t until_ns) noexcept;
    bool look_for_guests(lock_guard& lock);
    bool follow(running_thread& self, std::int64_t deadline_ns);

    // scheduler_fork.cpp
    void lock_for_fork() noexcept override;
    void go_on() noexcept override;
    void go_on_alone() noexcept override;
    void recall_receivers() noexcept;
    void take_back() noexcept;
    void occupy_free_numbers() const noexcept;

    // scheduler_threads.cpp
    void enter(running_thread& self);
    void meet_others(const running_thread& self);
    void leave(running_thread& self) noexcept;
    void bring_back(running_thread& t) noexcept;

    // scheduler_timers.cpp
    timers& timers_of(const timer_node& t) noexcept { return t.urgent ? urgent_timers_ : timers_; }
    void arm(timer_node& t, std::int64_t deadline_ns, bool urgent);
    void arm_node(timer_node& node) noexcept;
    void look_again(clock_timers& c) noexcept;
    void disarm(timer_node& t, bool gone) noexcept;
    void finish_wait(wait_operation* op, bool aborted) noexcept;
    std::size_t finish_waits(timer_node& t, bool aborted, std::size_t limit) noexcept;
    void fire(timers& from, std::int64_t now_ns) noexcept;
    void fire(clock_timers& c) noexcept;
    void fire_urgent_timers(std::int64_t now_ns) noexcept;
    void cancel_timers() noexcept;
    std::size_t armed_timers() const noexcept;
    bool timers_behind() const noexcept {
        return (waits_ != 0 && timers_.behind()) || (urgent_waits_ != 0 && urgent_timers_.behind());
    }
    std::int64_t next_timer_ns() const noexcept {
        return std::min(timers_.next_ns(), urgent_timers_.next_ns());
    }

    // scheduler_cancel.cpp
    bool mark_cancelled(io_operation* op) noexcept;
    void end_cancelled(io_operation* op) noexcept;
    void cancel_locked(io_operation* op) noexcept;
    bool cancel_each(const io_list& list) noexcept;
    static bool is_being_called(const io_list& list) noexcept;
    void cancel_entry(io_operation* op) noexcept;
    void flush_cancels() noexcept;
    void submit_cancels() noexcept;
    void hand_over(lock_guard& lock) noexcept;
    void await_departure(lock_guard& lock, const io_list& leaving) noexcept;

    // scheduler_call.cpp
    void call_in_turn(io_operation* op) noexcept;

    // scheduler_answers.cpp
    void answered(io_operation* op, std::int32_t answer) noexcept;
    void call(io_operation* op) noexcept;
    void wait_on(io_operation* op, verdict how) noexcept;
    void watched(io_operation* op) noexcept;

    // scheduler_io.cpp
    bool flush(bool hungry) noexcept;
    bool many_wait() const noexcept;
    bool try_now(io_operation* op, bool many) noexcept;
    void left_kernel(const io_operation& op) noexcept;
    void submit(lock_guard* lock = nullptr) noexcept;
    void submit_pending(lock_guard* lock = nullptr) noexcept;
    void note_error(int error) noexcept;
    void throw_error();
    void reap() noexcept;
    void completed(io_operation* op, const completion& c) noexcept;
    void finish(io_operation* op, std::int32_t result) noexcept;
    void conclude(io_operation* op, std::int32_t result) noexcept;
    void let_go(io_operation* next) noexcept;
    static io_operation* leave_turn(io_operation* op) noexcept;
    static io_operation* newest_transfer(const io_list& list, bool receives) noexcept;
    static io_operation* newest_like(const io_list& list, const io_operation& op) noexcept;
    io_queue& pending_of(const io_operation& op) noexcept;
    void add_pending(io_operation* op) noexcept;
    void announce_pending() noexcept;
    void queue_entry(io_operation* op) noexcept;
    bool holds_operations() const noexcept;
    void cancel_everything() noexcept;
    void cancel_in_kernel() noexcept;
    void await_kernel() noexcept;
    void destroy_handlers() noexcept;
    static void check(const io_context_options& options);
    void make_event();

    /// Whether there may be guests that nobody has told us of; see has_quiet_guests().
    enum class quiet_guests : std::uint8_t {
        ruled_out,  // we watch, or Asio does
        unlikely,   // no work has been begun since we looked for them
        possible
    };

    struct counters {
        std::uint64_t submissions = 0;
        std::uint64_t completions = 0;
        std::uint64_t speculated = 0;
        std::uint64_t system_calls = 0;
        std::uint64_t sleeps = 0;
        std::uint64_t remote_posts = 0;
        std::uint64_t submission_overflows = 0;
        std::uint64_t restarts = 0;
        std::uint64_t extra_runners = 0;
        std::uint64_t handler_time_ns = 0;
        std::uint64_t sleep_time_ns = 0;
    };

    // Guarded by mutex_: hot.
    biased_mutex mutex_;
    run_queue queue_;
    bool eventful_ = false;         // there is more to a handler than next_quickly() sees to
    int left_in_pass_ = 1;          // handlers until the ring and the clock are to be looked at
    int pass_length_ = 1;           // the same when the pass began
    int pass_limit_ = 8;            // handlers for which there is time in a pass
    bool punctual_ = false;         // what would be late after a long pass is counted on
    bool began_something_ = false;  // in this pass
    std::size_t urgent_io_ = 0;     // operations of level high in flight
    std::size_t urgent_waits_ = 0;  // waits of level high
    bool urgent_pending_ = false;   // an operation of level high has come to pending_
    std::size_t in_flight_ = 0;     // operations started and not finished
    std::size_t in_kernel_ = 0;     // of those, the ones that have an entry
    std::size_t low_in_kernel_ = 0;
    std::size_t submitting_ = 0;         // threads that submit without the lock
    std::size_t waits_ = 0;              // waits on timers
    running_thread* threads_ = nullptr;  // those inside run…, innermost activations first
    running_thread* leader_ = nullptr;   // the one asleep in the ring
    std::int64_t leader_until_ns_ = 0;   // until when
    std::atomic<bool> several_threads_{false};  // set under the lock
    std::optional<ring> ring_;
    entry_table entries_;
    std::array<io_queue, statistics::levels> pending_;  // without an entry yet
    std::size_t receiving_bytes_ = 0;                   // room of the receives in the kernel
    io_queue cancels_;                                  // in the kernel, to be cancelled there
    io_queue calling_;                                  // whose calls are being made
    timers timers_;
    timers urgent_timers_;                         // those with a wait of level high
    std::int64_t next_urgent_ns_ = timers::never;  // none of these is due before
    std::int64_t next_due_ns_ = timers::never;     // nor any of the others
    std::size_t clock_timers_ = 0;                 // timers of other clocks
    std::size_t looks_ = 0;                        // such clocks with timers
    work_count work_;
    std::int64_t pass_began_ns_ = 0;  // 0: not known
    ownership_backoff backoff_;
    counters counters_;

    // Guarded by mutex_: cold.
    std::size_t idle_ = 0;  // threads that wait for work, the leader apart
    std::condition_variable work_available_;
    bool wake_armed_ = false;  // the ring watches event_
    guest_events* guests_ = nullptr;
    bool guests_armed_ = false;  // the ring watches their descriptor
    guest_thread_end guest_thread_end_ = nullptr;
    int ring_error_ = 0;
    std::uint64_t wakes_owed_ = 0;  // wake-ups that other threads have promised

    // Any thread, atomic.
    alignas(64) std::atomic<bool> stopped_{false};
    std::atomic<quiet_guests> quiet_guests_{quiet_guests::ruled_out};
    alignas(64) std::atomic<std::uint64_t> wake_ups_{0};  // the last of what a wake-up touches here
    std::atomic<std::uint32_t> on_futex_{0};  // 1: the loop sleeps on this word, not in the ring
    inbox inbox_;

    // Never written after construction.
    io_context& context_;
    const io_context_options options_;

    // Written in the child of a fork only.
    int event_ = -1;
    bool left_behind_ = false;  // the ring and what is in it are the parent's

    biased_mutex::held held_for_fork_{};  // how the thread that forks holds mutex_
};

/// Tells the engine of `notify_fork`. To be called before there are services that use the engine,
/// which are prepared before it, and told after it.
void watch_forks(io_context& context, scheduler& s);

/// Holds the engine's lock.
class scheduler::lock_guard {
public:
    explicit lock_guard(scheduler& s) noexcept : scheduler_(s), held_(s.mutex_.lock()) {}
    ~lock_guard() { scheduler_.mutex_.unlock(held_); }
    lock_guard(const lock_guard&) = delete;
    lock_guard& operator=(const lock_guard&) = delete;

    // To let go of it for a while.
    void unlock() noexcept { scheduler_.mutex_.unlock(held_); }
    void lock() noexcept { held_ = scheduler_.mutex_.lock(); }
    bool by_mutex() const noexcept { return held_ == biased_mutex::held::by_mutex; }

private:
    scheduler& scheduler_;
    biased_mutex::held held_;
};

inline running_thread* scheduler::self() const noexcept {
    return static_cast<running_thread*>(find_thread_state(*this));
}

/// Whether more than a few operations are without an entry.
inline bool scheduler::many_wait() const noexcept {
    constexpr std::size_t few = 8;
    return in_flight_ - in_kernel_ > few;
}

inline int scheduler::ran_in_pass() const noexcept {
    return pass_length_ - std::max(left_in_pass_, 0);
}

/// To be called when something begins that would be late after a long pass: that is over then.
inline void scheduler::be_punctual() noexcept {
    began_something_ = true;
    if (!punctual_) {
        punctual_ = true;
        pass_length_ = ran_in_pass();
        left_in_pass_ = 0;
    }
}

inline void scheduler::post(operation* op) noexcept {
    // Inline, so that engine::post is this and nothing else; and nothing here needs a stack frame.
    biased_mutex::cell* const here = mutex_.owner();
    if (!mutex_.is_mine(here)) [[unlikely]] {
        post_elsewhere(op);
        return;
    }
    if (!mutex_.announce(here)) [[unlikely]] {
        post_when_revoked(op, here);
        return;
    }
    // Nobody sleeps: while another thread runs the context this one is not the owner.
    queue_.push(op);
    mutex_.unlock_as_owner();
}

}  // namespace rung::detail
