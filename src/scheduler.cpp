#include "scheduler.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <rung/error.hpp>
#include <string>
#include <utility>

#include "backoff.hpp"

namespace rung::detail {

namespace {

[[noreturn]] void refuse_option(const char* name, const char* rule) {
    throw boost::system::system_error(
        error::bad_option, std::string("rung::io_context_options::") + name + " must be " + rule);
}

io_context_options normalised(io_context_options options) {
    // Asio's UNSAFE hints promise one thread and no locking; the promise of one thread is what we
    // can use.
    constexpr int no_locking_mask = 0x3;
    constexpr int special_hint_id = static_cast<int>(0xA5100000U);
    const bool special = (options.concurrency_hint & ~0x7) == special_hint_id;
    if (special && (options.concurrency_hint & no_locking_mask) == 0) {
        options.concurrency_hint = 1;
    }
    return options;
}

}  // namespace

void scheduler::check(const io_context_options& options) {
    constexpr unsigned most_entries = 32'768;
    const unsigned entries = options.ring_entries;
    if (entries == 0 || entries > most_entries || (entries & (entries - 1)) != 0) {
        refuse_option("ring_entries", "a power of two from 1 to 32768");
    }
    if (options.starvation_limit < run_queue::smallest_limit) {
        refuse_option("starvation_limit", "at least 3");
    }
    if (options.spin_before_sleep.count() < 0 ||
        options.spin_before_sleep > std::chrono::seconds(1)) {
        refuse_option("spin_before_sleep", "from zero to one second");
    }
    if (options.resolver_threads == 0) {
        refuse_option("resolver_threads", "at least 1");
    }
    if (options.backend == rung::backend::epoll) {
        throw boost::system::system_error(
            error::backend_unavailable,
            "rung::io_context_options::backend: this build has no epoll backend");
    }
}

scheduler::scheduler(io_context& context, const io_context_options& options,
                     std::unique_ptr<ring_backend> backend)
    : queue_(options.starvation_limit), context_(context), options_(normalised(options)) {
    check(options_);
    if (backend == nullptr) {
        backend = make_kernel_backend(options_);
    }
    ring_.emplace(std::move(backend));
    make_event();
    {
        const lock_guard lock(*this);
        mutex_.own();
        note_events();
    }
    join_forks(order::engine);
}

void scheduler::make_event() {
    event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ == -1) {
        throw boost::system::system_error(
            errno, boost::system::system_category(),
            "rung::io_context: no descriptor for waking the loop; raise RLIMIT_NOFILE (ulimit -n)");
    }
}

scheduler::~scheduler() {
    leave_forks();
    // A thread that was to wake the loop may not have got round to it; until then it uses this.
    backoff until_then;
    while (wake_ups_.load(std::memory_order_acquire) < wakes_owed_) {
        until_then.wait();
    }
    ::close(event_);
}

rung::statistics scheduler::statistics() noexcept {
    const lock_guard lock(*this);
    rung::statistics s;
    for (std::size_t l = 0; l < statistics::levels; ++l) {
        s.handlers[l] = queue_.popped(l);
        s.queued[l] = queue_.size(l);
    }
    s.submissions = counters_.submissions;
    s.completions = counters_.completions;
    s.in_flight = in_flight_;
    s.speculated = counters_.speculated;
    s.system_calls = counters_.system_calls;
    s.sleeps = counters_.sleeps;
    s.wake_ups = wake_ups_.load(std::memory_order_relaxed);
    s.remote_posts = counters_.remote_posts;
    s.submission_overflows = counters_.submission_overflows;
    s.completion_overflows = ring_->overflows();
    s.restarts = counters_.restarts;
    s.ring_entries = ring_->entries();
    s.extra_runners = counters_.extra_runners;
    s.timers = armed_timers();
    s.lock_borrows = mutex_.borrows();
    s.guest_thread = guest_thread_end_ != nullptr;
    s.handler_time_ns = counters_.handler_time_ns;
    s.sleep_time_ns = counters_.sleep_time_ns;
    return s;
}

void scheduler::shutdown() noexcept {
    running_thread self(*this);
    self.runs_handlers = false;
    take_back();
    do {
        destroy_handlers();
        const lock_guard lock(*this);
        submit_pending();
        if (in_kernel_ != 0 && queue_.empty()) {
            cancel_everything();
        }
    } while (holds_operations() || waits_ != 0 || !queue_.empty() || inbox_.filled());
}

/// Whether there are operations that have an entry or wait for one.
///
/// In the child of a fork, those that another thread had taken from the run queue are neither there
/// nor here, though they count as in flight.
bool scheduler::holds_operations() const noexcept {
    return in_kernel_ != 0 || std::any_of(pending_.begin(), pending_.end(),
                                          [](const io_queue& waiting) { return !waiting.empty(); });
}

/// Has the kernel end every operation that it holds, if there is room for the request.
void scheduler::cancel_in_kernel() noexcept {
    if (ring_->room() != 0) {
        ring_->add_cancel_all();
        wake_armed_ = false;
        guests_armed_ = false;
    }
    submit();
    reap();
}

/// Waits for some of them that take their time.
void scheduler::await_kernel() noexcept {
    constexpr std::int64_t ask_again_ns = 100'000'000;
    note_error(ring_->wait(ring_->publish(), true, ask_again_ns));
    ring_->refresh();
    reap();
}

/// Has the kernel end every operation, and waits for some that take their time.
void scheduler::cancel_everything() noexcept {
    cancel_in_kernel();
    if (in_kernel_ != 0 && queue_.empty()) {
        await_kernel();
    }
}

/// Destroys what is queued and what waits, until that leaves nothing behind.
void scheduler::destroy_handlers() noexcept {
    for (;;) {
        operation* op = nullptr;
        {
            const lock_guard lock(*this);
            drain_inbox();
            if (queue_.empty()) {
                cancel_timers();
                for (auto& waiting : pending_) {
                    while (!waiting.empty()) {
                        cancel_locked(waiting.front());
                    }
                }
            }
            op = queue_.pop();
        }
        if (op == nullptr) {
            return;
        }
        op->destroy();
    }
}

}  // namespace rung::detail
