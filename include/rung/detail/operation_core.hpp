#pragma once

#include <atomic>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <exception>
#include <mutex>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/operation.hpp>
#include <rung/detail/short_lock.hpp>
#include <rung/operation_state.hpp>
#include <rung/trace.hpp>
#include <utility>

namespace rung::detail {

class operation_core;
class operation_watcher;

/// Ties a watcher that is told once to the handler in a cancellation slot: each side takes the
/// other's pointer back when it ends first. It does not keep the operation alive; while `core` is there, its watcher
/// does.
class watch_link {
public:
    watch_link(operation_core& core, operation_watcher& w) noexcept : core_(&core), watcher_(&w) {}
    watch_link(const watch_link&) = delete;
    watch_link& operator=(const watch_link&) = delete;
    ~watch_link();

    /// Takes the watcher off its list and dismisses it, if it is still there.
    void dismiss() noexcept;

private:
    friend class operation_core;
    operation_core* core_acquired() noexcept;

    short_lock lock_;             // taken under the core's lock, or alone
    operation_core* core_;        // guarded by lock_
    operation_watcher* watcher_;  // guarded by the core's lock
};

/// One who wants to be told of an operation: a node of its list, and of the engine's queue, so that
/// a handler on a `rung::executor` needs no second piece of memory.
class operation_watcher : public operation {
public:
    enum class wants : std::uint8_t {
        end,           // to be told once, of the end
        next_change,   // to be told once, of the next change or the end
        every_change,  // to be told of each change; stays on the list until the end
    };
    enum class event : std::uint8_t {
        changed,    // once for `next_change`, and then it is no longer on the list
        ended,      // it is no longer on the list
        dismissed,  // likewise
        hold,       // of `every_change`, under the core's lock: it is going to be told,
        let_go,     // and has been, whether or not it is still on the list
    };
    using notify_function = void (*)(operation_watcher*, event) noexcept;

    /// Called in the thread that made the change; without the core's lock, but for `hold`.
    notify_function notify;
    const wants what;
    const bool runs_inside;   // its code runs in the thread that tells
    bool listed = false;      // guarded by the core's lock
    std::uint32_t since = 0;  // it knows of that many changes
    // Guarded by the core's lock. `next_` links those that are about to be told.
    operation_watcher* before = nullptr;
    operation_watcher* after = nullptr;
    watch_link* link = nullptr;

protected:
    operation_watcher(wants w, bool inside, notify_function n, function_type f) noexcept
        : operation(f, level::normal), notify(n), what(w), runs_inside(inside) {}
};

/// What is to happen when the client asks for the operation's cancellation.
class cancel_hook {
public:
    enum class action : bool { dispose, run };
    using function_type = void (*)(cancel_hook*, action) noexcept;

    explicit cancel_hook(function_type f) noexcept : act(f) {}

    /// Called once: `run` where the cancellation was asked for, which disposes of the hook, too.
    function_type act;

protected:
    ~cancel_hook() = default;
};

/// A call of what is to happen when the client asks for the cancellation, for which the end of the
/// operation waits unless it is within the call.
class hook_run {
public:
    explicit hook_run(operation_core& core) noexcept;
    hook_run(const hook_run&) = delete;
    hook_run& operator=(const hook_run&) = delete;
    ~hook_run();

    /// Begins a call that was put off. False if the operation has ended meanwhile, or the hook of
    /// that number is not the last any more: then there must be none.
    bool begin_late(std::uint32_t number) noexcept;

private:
    friend class operation_core;
    void begin() noexcept;

    operation_core& core_;
    const void* const thread_;
    hook_run* next_ = nullptr;  // guarded by the core's lock
    bool began_ = false;
};

/// The state machine that a source and its operation share, without the types of value and
/// progress.
///
/// One word holds the state, who is interested, and the number of changes, so that each transition
/// is one read-modify-write that tells the producer whether anybody has to be told. State and
/// progress are read without it. The lock guards the list of watchers and the hook alone; no code
/// of the user runs under it.
class operation_core {
public:
    using destroy_function = void (*)(operation_core*) noexcept;

    /// Two references: the source's and the operation's.
    operation_core(destroy_function destroy, operation_state initial) noexcept
        : word_(static_cast<std::uint64_t>(initial)), destroy_(destroy) {
        if (is_traced()) [[unlikely]] {
            trace_operation(this, operation_state::pending);
        }
    }
    operation_core(const operation_core&) = delete;
    operation_core& operator=(const operation_core&) = delete;

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (sole_reference() || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            destroy_(this);
        }
    }
    bool sole_reference() const noexcept { return references() == 1; }
    std::uint32_t references() const noexcept {
        return references_.load(std::memory_order_acquire);  // pairs with release()
    }

    // Any thread.
    operation_state state() const noexcept {
        return state_of(word_.load(std::memory_order_acquire));
    }
    std::uint32_t changes() const noexcept {
        return changes_of(word_.load(std::memory_order_acquire));
    }
    bool cancel_requested() const noexcept {
        return (word_.load(std::memory_order_acquire) & cancel_bit) != 0;
    }
    void cancel() noexcept;

    /// Adds a watcher to the list. False, with nothing done, if what it waits for has happened: the
    /// end, or for one of changes that their number is not `*seen` any more.
    bool add(operation_watcher& w, const std::uint32_t* seen = nullptr) noexcept;
    /// Takes it off the list. False if it is not there: it was told, or is being told, of the end.
    bool remove(operation_watcher& w) noexcept;
    /// What `watch_link` does when it is asked to, and when it goes away.
    void dismiss(watch_link& link) noexcept;
    void part(watch_link& link) noexcept;
    /// Waits for the end until then, on CLOCK_MONOTONIC; looks for it without sleeping for
    /// `spin_ns` first. False if the time is up. Throws `system_error` on the thread of a loop.
    bool wait(std::int64_t deadline_ns, std::int64_t spin_ns) const;

    /// Of the end: what `failed` and `cancelled` say. Null before it.
    boost::system::error_code error() const noexcept;
    boost::system::error_code reason() const noexcept;
    /// Throws what `failed` or `cancelled` says; nothing if it is done.
    void throw_error() const;

    // The producer only, one thread at a time, before the end.
    void changed(operation_state to) noexcept {
        if (is_traced()) [[unlikely]] {
            trace_operation(this, operation_state::running);
        }
        const std::uint64_t step =
            one_change +
            (static_cast<std::uint64_t>(to) - (word_.load(std::memory_order_relaxed) & state_mask));
        const std::uint64_t before = word_.fetch_add(step, std::memory_order_acq_rel);
        if ((before & change_bit) != 0) [[unlikely]] {
            tell_changed(changes_of(before + one_change));
        }
    }
    void changed() noexcept { changed(state()); }
    void finish(operation_state to) noexcept {
        if (is_traced()) [[unlikely]] {
            trace_operation(this, to);
        }
        const std::uint64_t step =
            one_change +
            (static_cast<std::uint64_t>(to) - (word_.load(std::memory_order_relaxed) & state_mask));
        const std::uint64_t before = word_.fetch_add(step, std::memory_order_acq_rel);
        if ((before & (sleeper_bit | end_bit | change_bit | hook_bit)) != 0) {
            tell_end(before);
        }
    }
    void set_hook(cancel_hook* hook) noexcept;
    /// The same while the core is being made, and nobody knows of it.
    void set_first_hook(cancel_hook& hook) noexcept {
        hook_ = &hook;
        word_.store(word_.load(std::memory_order_relaxed) | hook_bit, std::memory_order_relaxed);
    }
    /// Nobody runs the hook from now on, nor still runs it, but for this thread, on return.
    void drop_hook() noexcept;
    /// Of the hook that was set last; within its call, of this one.
    std::uint32_t hook_number() noexcept;
    void set_error(boost::system::error_code e) noexcept { error_ = e; }
    /// Takes the error, reason or exception of an operation that has ended.
    void set_error_of(const operation_core& other) {
        error_ = other.error_;
        exception_ = other.exception_;
    }
    void set_exception(std::exception_ptr e) noexcept;

    /// For any end but `done`.
    void abandon() noexcept;

    /// A bit of the storage's own.
    bool marked() const noexcept { return (word_.load(std::memory_order_relaxed) & mark_bit) != 0; }
    void set_mark(bool on) noexcept {
        on ? word_.fetch_or(mark_bit, std::memory_order_relaxed)
           : word_.fetch_and(~mark_bit, std::memory_order_relaxed);
    }

private:
    friend class hook_run;
    static constexpr std::uint64_t state_mask = 7;
    static constexpr std::uint64_t cancel_bit = 1U << 3;   // cancellation was asked for
    static constexpr std::uint64_t sleeper_bit = 1U << 4;  // a thread sleeps until the end
    static constexpr std::uint64_t end_bit = 1U << 5;      // a watcher wants to know of the end
    static constexpr std::uint64_t change_bit = 1U << 6;   // one wants to know of changes
    static constexpr std::uint64_t hook_bit = 1U << 7;     // there is, or was, a hook
    static constexpr std::uint64_t mark_bit = 1U << 8;     // what it means the storage says
    static constexpr std::uint64_t one_change = std::uint64_t{1} << 32;

    static operation_state state_of(std::uint64_t word) noexcept {
        return static_cast<operation_state>(word & state_mask);
    }
    static std::uint32_t changes_of(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word >> 32);
    }

    /// Those on executors are told first, so that they note a change as it was, whatever the code
    /// of the others does about it.
    struct watchers_to_tell {
        intrusive_queue<operation_watcher> elsewhere;
        intrusive_queue<operation_watcher> inside;
    };

    void gather(std::uint32_t number, watchers_to_tell& told) noexcept;
    void tell_changed(std::uint32_t number) noexcept;
    void tell_end(std::uint64_t before) noexcept;
    void tell_watchers_of_end(std::unique_lock<short_lock>& lock) noexcept;
    void run_hook() noexcept;
    bool runs_elsewhere() noexcept;
    void unlink(operation_watcher& w) noexcept;
    static void part(operation_watcher& w) noexcept;

    mutable std::atomic<std::uint64_t> word_;
    std::atomic<std::uint32_t> references_{2};
    short_lock lock_;
    // Guarded by lock_.
    operation_watcher* first_ = nullptr;
    operation_watcher* last_ = nullptr;
    cancel_hook* hook_ = nullptr;
    hook_run* hook_runs_ = nullptr;                  // which are under way
    std::uint32_t telling_ : 1 = 0;                  // of changes
    std::uint32_t hook_number_ : 31 = 0;             // changes whenever a hook is set or dropped
    std::atomic<std::uint32_t> hook_runs_ended_{0};  // not guarded
    // Written before the end, read after it.
    boost::system::error_code error_;
    std::exception_ptr exception_;

    const destroy_function destroy_;
};

/// A counted reference to an operation's shared state of type `Core`.
template <class Core>
class core_ptr {
public:
    core_ptr() = default;
    /// Takes over a reference.
    explicit core_ptr(Core* c) noexcept : core_(c) {}
    core_ptr(const core_ptr& other) noexcept : core_(other.core_) {
        if (core_ != nullptr) {
            core_->add_reference();
        }
    }
    core_ptr(core_ptr&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    core_ptr& operator=(core_ptr other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~core_ptr() {
        if (core_ != nullptr) {
            core_->release();
        }
    }

    static core_ptr share(Core* c) noexcept {
        c->add_reference();
        return core_ptr(c);
    }
    Core* get() const noexcept { return core_; }
    Core& operator*() const noexcept { return *core_; }
    Core* operator->() const noexcept { return core_; }
    explicit operator bool() const noexcept { return core_ != nullptr; }

private:
    Core* core_ = nullptr;
};

}  // namespace rung::detail
