/// Parent and child of a fork both go on: `execution_context::notify_fork`.
///
/// Rings and what is in them stay with the parent's memory, which the child does not have. So the
/// kernel gives every operation back before the fork, as it does when a thread exits, and each
/// process starts them again, the child in a ring of its own. Nothing is undone where a fork is
/// refused, as this watch is asked last and does nothing else before it may refuse.

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <rung/error.hpp>

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
                engine_.prepare_fork();
                end_lookup_threads(engine_.context());
                break;
            case boost::asio::execution_context::fork_parent:
                engine_.go_on_as_parent();
                break;
            case boost::asio::execution_context::fork_child:
                engine_.go_on_as_child();
                break;
        }
    }

    scheduler& engine_;
};

boost::asio::execution_context::id fork_watch::id;

}  // namespace

void watch_forks(io_context& context, scheduler& s) {
    boost::asio::make_service<fork_watch>(context, s);
}

unsigned fork_generation() noexcept {
    static std::atomic<unsigned> generation{0};
    static const int registered = ::pthread_atfork(nullptr, nullptr, [] { ++generation; });
    static_cast<void>(registered);
    return generation.load(std::memory_order_relaxed);
}

void scheduler::refuse_fork_among_threads() {
    const lock_guard lock(*this);
    check_fork();
}

void scheduler::check_fork() const {
    for (const running_thread* t = threads_; t != nullptr; t = t->next_) {
        if (t->thread_ != &this_thread_state) {
            throw boost::system::system_error(
                error::wrong_thread,
                "rung::io_context: notify_fork while another thread runs the context, which would "
                "not exist in the child");
        }
    }
}

void scheduler::prepare_fork() {
    const lock_guard lock(*this);
    check_fork();
    while (in_kernel_ != 0 && ring_error_ == 0) {
        if (ring_->room() == 0) {
            submit();
            reap();
        }
        cancel_in_kernel();
        if (in_kernel_ != 0) {
            await_kernel();
        }
    }
    throw_error();
}

void scheduler::go_on_as_parent() noexcept {
    const lock_guard lock(*this);
    submit_pending();
}

void scheduler::go_on_as_child() {
    const lock_guard lock(*this);
    check_fork();
    if (in_kernel_ != 0) {
        throw boost::system::system_error(
            error::forked,
            "rung::io_context: notify_fork(fork_child) without notify_fork(fork_prepare) before "
            "the fork");
    }
    // What the parent sleeps on is not to be written to from here.
    ::close(event_);
    make_event();
    wakes_owed_ = wake_ups_.load(std::memory_order_relaxed);
    wake_armed_ = false;
    guests_armed_ = false;
    ring_error_ = 0;
    ring_->rebuild();
    fork_generation_ = fork_generation();
}

}  // namespace rung::detail
