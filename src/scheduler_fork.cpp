/// Parent and child of a fork both go on: `execution_context::notify_fork`.
///
/// The ring and what is in it stay with the parent, which notices nothing. The child finds every
/// operation in flight in its copy of the memory: it takes those that have an entry back to the
/// list of what waits for one, where they can be cancelled without a ring, and starts them in a
/// ring of its own once it is told to.

#include <fcntl.h>
#include <unistd.h>

#include <ctime>
#include <memory>
#include <rung/error.hpp>
#include <utility>

#include "asio_locks.hpp"
#include "guest_events.hpp"
#include "scheduler.hpp"

namespace rung::detail {

namespace {

class fork_watch final : public boost::asio::execution_context::service {
public:
    using key_type = fork_watch;
    static boost::asio::execution_context::id id;

    fork_watch(boost::asio::execution_context& context, scheduler& s)
        : service(context), engine_(s) {}

private:
    void shutdown() override {}
    void notify_fork(boost::asio::execution_context::fork_event event) override {
        switch (event) {
            case boost::asio::execution_context::fork_prepare:
                engine_.settle_before_fork();
                break;
            case boost::asio::execution_context::fork_parent:
                break;
            case boost::asio::execution_context::fork_child:
                engine_.go_on_as_child();
                break;
        }
    }

    scheduler& engine_;
};

boost::asio::execution_context::id fork_watch::id;

/// Whether the kernel takes something for an operation as soon as there is something.
bool takes(const io_operation& op) noexcept {
    return !op.by_poll && (op.receives() || op.kind == io_kind::accept);
}

}  // namespace

void watch_forks(io_context& context, scheduler& s) {
    boost::asio::make_service<fork_watch>(context, s);
}

/// Brings what can end at once to its end, so that it is not done again in the child, and has the
/// kernel take nothing that is the child's once this process lets go of a descriptor.
void scheduler::settle_before_fork() noexcept {
    constexpr timespec pause{.tv_sec = 0, .tv_nsec = 50'000};
    constexpr int most_pauses = 100;
    lock_guard lock(*this);
    if (left_behind_) {
        return;
    }
    submit_pending();
    submit();
    reap();
    // Completions wake a thread that sleeps in the ring, and are its own to take.
    for (int i = 0; leader_ != nullptr && ring_->ready() && i < most_pauses; ++i) {
        lock.unlock();
        ::nanosleep(&pause, nullptr);
        lock.lock();
    }
    if (self() != nullptr ? !several_threads() : threads_ == nullptr) {
        recall_receivers();
    }
    if (self() == nullptr && !queue_.empty()) {
        share_work();
    }
}

/// Has the kernel give back what would take bytes and connections. It gets entries again when the
/// loop goes on.
///
/// Precondition: no other thread runs the context.
void scheduler::recall_receivers() noexcept {
    constexpr std::int64_t step_ns = 1'000'000;
    constexpr int most_steps = 5;  // where the thread that submitted them has yet to let go
    entries_.for_each([this](io_operation& op) {
        if (takes(op) && op.queue_before == nullptr) {
            cancel_entry(&op);
        }
    });
    submit_cancels();
    const auto some_are_left = [this] {
        bool found = false;
        entries_.for_each([&found](const io_operation& op) { found = found || takes(op); });
        return found;
    };
    for (int i = 0; i < most_steps && some_are_left(); ++i) {
        note_error(ring_->wait(ring_->publish(), true, step_ns));
        ring_->refresh();
        reap();
    }
}

void scheduler::lock_for_fork() noexcept {
    held_for_fork_ = mutex_.lock();
    lock_services(context_);  // which notify_fork reads
}

void scheduler::go_on() noexcept {
    unlock_services(context_);
    mutex_.unlock(held_for_fork_);
}

/// In the child, under the lock that was taken before the fork.
void scheduler::go_on_alone() noexcept {
    left_behind_ = true;
    ring_->abandon();
    wake_armed_ = false;
    guests_armed_ = false;
    submitting_ = 0;
    while (io_operation* const op = calling_.front()) {
        calling_.remove(op);
        call_in_turn(op);  // whoever was about to make its call is not here
    }
    // Nobody sleeps, and who was about to wake the sleeper is not here.
    leader_ = nullptr;
    inbox_.interrupt();
    on_futex_.store(0, std::memory_order_relaxed);
    wakes_owed_ = wake_ups_.load(std::memory_order_relaxed);
    idle_ = 0;
    std::construct_at(&work_available_);  // it would wait for the threads that wait for it
    running_thread** at = &threads_;
    while (running_thread* const t = *at) {
        if (t->thread_ == &this_thread_state) {
            at = &t->next_;
        } else {
            *at = t->next_;
            bring_back(*t);
        }
    }
    several_threads_.store(false, std::memory_order_relaxed);
    note_events();
    // A thread that is not here may own the mutex, or have been about to take it from its owner.
    go_on();
    std::construct_at(&mutex_);
}

/// Takes what is in the parent's ring for what waits for an entry.
void scheduler::take_back() noexcept {
    const lock_guard lock(*this);
    if (!left_behind_) {
        return;
    }
    entries_.for_each([this](io_operation& op) {
        completed(&op, {.tag = 0, .result = -ECANCELED, .more = false});
    });
    // Those for which there was no memory to note them stay behind.
    in_flight_ -= std::exchange(in_kernel_, 0);
    low_in_kernel_ = 0;
    receiving_bytes_ = 0;
}

void scheduler::refuse_to_run() const {
    throw boost::system::system_error(
        error::forked,
        "rung::io_context: this is the child of a fork: call notify_fork(fork_child), or make a "
        "new context");
}

/// In a child of vfork Asio's reactor, which is told next, makes its descriptors anew and notes their
/// numbers in its parent's memory. They are the same ones if no lower number is free.
void scheduler::occupy_free_numbers() const noexcept {
    constexpr int most_above = 32;  // of the reactor's other descriptors
    const int last = guests_->descriptor() + most_above;
    while (true) {
        const int free = ::fcntl(event_, F_DUPFD_CLOEXEC, 0);
        if (free == -1 || free >= last) {
            return;  // exec and _exit close them
        }
    }
}

void scheduler::go_on_as_child() {
    take_back();
    const lock_guard lock(*this);
    if (!left_behind_) {
        if (in_borrowed_memory() && guests_ != nullptr) {
            occupy_free_numbers();
        }
        return;
    }
    ring_->rebuild();
    ::close(event_);  // which wakes the parent
    make_event();
    ring_error_ = 0;
    left_behind_ = false;
    note_events();
}

}  // namespace rung::detail
