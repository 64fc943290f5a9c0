/// What happens when the client asks for the cancellation of an operation.

#include <mutex>
#include <rung/detail/operation_core.hpp>

namespace rung::detail {

namespace {

/// Something of this thread that no other has.
const void* this_thread() noexcept {
    static thread_local const char here = 0;
    return &here;
}

}  // namespace

void operation_core::cancel() noexcept {
    const std::uint64_t before = word_.fetch_or(cancel_bit, std::memory_order_acq_rel);
    if ((before & hook_bit) != 0 && (before & cancel_bit) == 0 && !is_final(state_of(before))) {
        run_hook();
    }
}

void operation_core::set_hook(cancel_hook* hook) noexcept {
    drop_hook();  // one at a time: the one before may be running
    {
        const std::lock_guard lock(lock_);
        hook_ = hook;
        ++hook_number_;  // again: one that ran meanwhile may have taken the number of drop_hook()
    }
    // Either cancel() sees the hook or we see that it was called.
    const std::uint64_t before = word_.fetch_or(hook_bit, std::memory_order_acq_rel);
    if ((before & cancel_bit) != 0) {
        run_hook();
    }
}

void operation_core::run_hook() noexcept {
    hook_run run(*this);
    cancel_hook* hook = nullptr;
    {
        const std::lock_guard lock(lock_);
        hook = std::exchange(hook_, nullptr);
        if (hook == nullptr) {
            return;
        }
        run.begin();
    }
    hook->act(hook, cancel_hook::action::run);
}

void operation_core::drop_hook() noexcept {
    cancel_hook* hook = nullptr;
    bool may_run = false;
    {
        const std::lock_guard lock(lock_);
        hook = std::exchange(hook_, nullptr);
        ++hook_number_;
        may_run = hook_runs_ != nullptr;
    }
    if (hook != nullptr) {
        hook->act(hook, cancel_hook::action::dispose);
    }
    while (may_run) {
        const std::uint32_t ended = hook_runs_ended_.load(std::memory_order_acquire);
        may_run = runs_elsewhere();
        if (may_run) {
            hook_runs_ended_.wait(ended, std::memory_order_acquire);
        }
    }
}

/// Whether another thread runs a hook.
bool operation_core::runs_elsewhere() noexcept {
    const std::lock_guard lock(lock_);
    const hook_run* run = hook_runs_;
    while (run != nullptr && run->thread_ == this_thread()) {
        run = run->next_;
    }
    return run != nullptr;
}

std::uint32_t operation_core::hook_number() noexcept {
    const std::lock_guard lock(lock_);
    return hook_number_;
}

hook_run::hook_run(operation_core& core) noexcept : core_(core), thread_(this_thread()) {}

bool hook_run::begin_late(std::uint32_t number) noexcept {
    const std::lock_guard lock(core_.lock_);
    // Who ends the operation looks for us, under the lock, after that.
    if (is_final(core_.state()) || core_.hook_number_ != number) {
        return false;
    }
    begin();
    return true;
}

/// Under the core's lock.
void hook_run::begin() noexcept {
    core_.add_reference();  // the hook may end the operation, and what is told of that drop it
    next_ = std::exchange(core_.hook_runs_, this);
    began_ = true;
}

hook_run::~hook_run() {
    if (!began_) {
        return;
    }
    {
        const std::lock_guard lock(core_.lock_);
        hook_run** at = &core_.hook_runs_;
        while (*at != this) {
            at = &(*at)->next_;
        }
        *at = next_;
    }
    // In one order with the notification's look for who waits in drop_hook().
    core_.hook_runs_ended_.fetch_add(1, std::memory_order_seq_cst);
    core_.hook_runs_ended_.notify_all();
    core_.release();
}

}  // namespace rung::detail
