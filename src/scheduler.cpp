#include "scheduler.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <rung/error.hpp>
#include <string>
#include <thread>
#include <utility>

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
    event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ == -1) {
        throw boost::system::system_error(
            errno, boost::system::system_category(),
            "rung::io_context: no descriptor for waking the loop; raise RLIMIT_NOFILE (ulimit -n)");
    }
    const lock_guard lock(*this);
    mutex_.own();
}

scheduler::~scheduler() { ::close(event_); }

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
    s.timers = timers_.size();
    s.lock_borrows = mutex_.borrows();
    s.handler_time_ns = counters_.handler_time_ns;
    s.sleep_time_ns = counters_.sleep_time_ns;
    return s;
}

void scheduler::shutdown() noexcept {
    std::optional<running_thread> self;
    try {
        self.emplace(*this);
    } catch (const boost::system::system_error&) {
        // The ring belongs to another thread and has operations in flight.
        give_up_ring();
    }
    do {
        destroy_handlers();
        if (!self) {
            continue;
        }
        {
            const lock_guard lock(*this);
            submit_pending();
            if (in_kernel_ != 0 && queue_.empty()) {
                ring_->add_cancel_all();
                ring_->publish();
                note_error(ring_->wait(1, true, 100'000'000));
                ring_->refresh();
                wake_armed_ = false;
                reap();
            }
        }
    } while (in_flight_ != 0 || waits_ != 0 || !queue_.empty() || inbox_.filled());
}

/// Destroys what is queued and what waits, until that leaves nothing behind.
void scheduler::destroy_handlers() noexcept {
    for (;;) {
        operation* op = nullptr;
        {
            const lock_guard lock(*this);
            drain_inbox();
            if (queue_.empty()) {
                if (timer_node* const t = timers_.any()) {
                    timers_.disarm(*t);
                    while (operation* const wait = t->waits.pop()) {
                        finish_wait(static_cast<wait_operation*>(wait), true);
                    }
                }
                for (auto& waiting : pending_) {
                    for (io_operation* p = waiting.front(); p != nullptr;
                         p = static_cast<io_operation*>(p->next_)) {
                        cancel_locked(p);
                    }
                }
                sweep_cancelled();
            }
            op = queue_.pop();
        }
        if (op == nullptr) {
            return;
        }
        op->destroy();
    }
}

/// Takes the operations back from a ring that this thread may not enter.
void scheduler::give_up_ring() noexcept {
    // The kernel ends them in the background; ten seconds are far more than it takes.
    constexpr auto step = std::chrono::microseconds(100);
    constexpr int steps = 100'000;
    ring_->abandon();
    for (int i = 0; i < steps && in_kernel_ != 0; ++i) {
        std::this_thread::sleep_for(step);
        const lock_guard lock(*this);
        reap();
    }
    // What the kernel may still write to is not freed.
    const lock_guard lock(*this);
    in_flight_ -= std::exchange(in_kernel_, 0);
}

}  // namespace rung::detail
