#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <rung/detail/fiber_core.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "stack_operation.hpp"
#include "stack_slab.hpp"
#include "stack_switch.hpp"

namespace rung::detail {

class fiber_locals;
class own_stack;
struct fiber_thread;

/// A thread's exceptions, those being thrown and those being handled: the part of the C++ runtime's
/// state that belongs to a stack. Source: Itanium C++ ABI, exception handling, 2.2.2.
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;

    bool any() const noexcept { return caught != nullptr || uncaught != 0; }
};

/// A stack with a function on it that is not its thread's own.
///
/// The record lies at the top of the stack. Between two functions the fiber is idle: parked in its
/// loop, ready for the next one without a new context. A fiber is an operation, too: queued, it
/// means that the fiber is to go on. It does so on the thread on which it began; see `come_home`.
class alignas(64) fiber final : public stack_operation {
public:
    enum class status : std::uint8_t {
        idle,     // no function
        running,  // on its stack, or below a fiber that it runs
        ready,    // in a queue, to go on
        waiting,  // for a wait to end
    };

    /// The fiber in which this thread is, or null.
    static fiber* current() noexcept;
    /// An idle fiber for the task. Throws as `stack_pool::allocate` does.
    static fiber& obtain(const fiber_settings* settings);
    /// Ends an idle fiber whose stack is to be freed.
    static void discard(fiber& f) noexcept;

    /// Runs a task until it ends or waits. Throws what it throws. Precondition: idle.
    void start(fiber_task& task);
    /// Lets others run first.
    void yield();
    /// Counts an operation that ends at once, many of which in a row let others run first.
    void take_turn();

    // For fiber_wait.
    void begin_wait();
    void end_start() noexcept {
        if (course_ == course::starting) {
            course_ = course::plain;
        }
    }
    void suspend();
    void wake();
    void wake_elsewhere();
    void wake_later();
    void abandon() noexcept;

    /// Unwinds the stack. Precondition: waiting or ready, and in no queue.
    void unwind() noexcept;

    bool idle() const noexcept { return status_.load(std::memory_order_relaxed) == status::idle; }
    /// Whether it waits there, and nobody has ended the wait: then it is in no queue.
    bool waits_in(const boost::asio::execution_context& c) const noexcept {
        return context_of_wait_.load(std::memory_order_relaxed) == &c &&
               status_.load(std::memory_order_relaxed) == status::waiting &&
               !queued_.load(std::memory_order_relaxed) &&
               handshake_.load(std::memory_order_relaxed) != handshake::woken;
    }
    bool unwinding() const noexcept { return course_ == course::unwinding; }
    std::uint64_t generation() const noexcept { return generation_; }
    const carrier_executor& carrier() const noexcept { return carrier_; }
    void set_priority(priority p);
    scheduler* engine() const noexcept { return engine_; }
    const void* home() const noexcept { return home_; }
    fiber_cancellation* cancellation() const noexcept { return cancellation_; }
    const char* name() const noexcept { return name_.data(); }
    void set_name(std::string_view name) noexcept;
    void destroy_locals() noexcept;
    fiber_locals*& locals() noexcept { return locals_; }
    /// Where it lies in its pool. Precondition: its stack is of one.
    stack_slab::slot& slot() const noexcept { return *slot_; }
    /// The stack of the fiber's own allocator, or null.
    const own_stack* own() const noexcept { return own_; }
    stack memory() const noexcept;

    /// Ends the calling fiber's wait for good, in case it was told to unwind.
    void throw_if_unwinding();
    /// That the fiber is to unwind; or that it must not wait within the function that starts what it
    /// is about to wait for, whose end would be taken for that of the inner wait.
    void refuse_to_wait();

    /// Has an operation go to the fiber's own thread. False if it may run here.
    bool send_home(operation* op) noexcept;

private:
    bool send_elsewhere(operation* op) noexcept;

    static constexpr std::uint8_t most_at_once = 128;

    /// Whether it may wait now.
    enum class course : std::uint8_t {
        plain,
        starting,   // a wait has begun, and the fiber is not suspended for it yet
        unwinding,  // its waits end at once, by forced_unwind
    };
    enum class handshake : std::uint8_t { running, suspended, woken };

    fiber() noexcept;
    ~fiber() = default;
    static fiber& obtain_elsewhere(fiber_thread& t, const fiber_settings* settings);
    static fiber& make(stack_slab::slot& s);
    static fiber& make(own_stack& s);
    static fiber& place(char* end, const stack& m);
    void free_own_stack() noexcept;
    static void finish(operation* base, action what);
    static void main();
    void run_task() noexcept;
    void end_task();

    void enter();
    void leave();
    void jump_in(fiber_thread& t);
    void jump_out(void* caller, bool see_to_it_there);
    void set_outer_aside(fiber_thread& t) noexcept;
    void bring_outer_back(fiber_thread& t) noexcept;
    static void see_to_it(void* self);
    static void throw_unwinding(void* self);
    void resume();
    void queue() noexcept;
    void resume_elsewhere();
    void post_elsewhere();
    void first_suspension();
    void park();
    void end_work() noexcept;

    // What each switch touches: with the operation, one cache line.
    const void* home_ = nullptr;   // its thread: the address of that one's this_thread_state
    scheduler* engine_ = nullptr;  // null if its executor is not a rung::executor
    std::atomic<status> status_{status::idle};
    std::atomic<bool> queued_{false};  // because its wait is over
    course course_{course::plain};
    bool dropped_ = false;    // the wait will not end, so that the stack is to be unwound
    bool counted_ = false;    // as work of its context
    bool throws_ = false;     // exceptions_ says what
    bool has_outer_ = false;  // something of the caller's was set aside

    // What each wait, and each function, touches: one more.
    bool woken_ = false;        // the wait ended before it began
    std::uint8_t at_once_ = 0;  // operations that have ended at once, since others had a turn
    fiber_cancellation* cancellation_ = nullptr;
    carrier_executor carrier_;
    fiber_task* task_ = nullptr;
    fiber_locals* locals_ = nullptr;
    std::atomic<handshake> handshake_{handshake::running};  // without an engine only
    bool cacheable_ = false;       // its stack is of the common pool's default size
    std::uint16_t swallowed_ = 0;  // times that forced_unwind did not reach the end

    std::exception_ptr escaped_;
    std::uint64_t generation_ = 0;
    std::atomic<const boost::asio::execution_context*> context_of_wait_{nullptr};
    exception_state exceptions_;
    exception_state outer_exceptions_;
    fiber* outer_ = nullptr;        // on whose stack the caller is
    void* outer_caller_ = nullptr;  // and where what runs that one goes on
    // Where the stack is from: a slot of a pool, or an allocator of the fiber's own.
    stack_slab::slot* slot_ = nullptr;
    stack_store* store_ = nullptr;
    own_stack* own_ = nullptr;
    boost::asio::any_io_executor work_;  // without an engine, once it has waited
    fiber_name name_{};

    // For the sanitizers.
    const void* caller_stack_ = nullptr;
    std::size_t caller_stack_size_ = 0;
    void* fake_stack_ = nullptr;
    void* tsan_fiber_ = nullptr;
    void* tsan_caller_ = nullptr;
    bool must_see_to_it_ = false;
    unsigned valgrind_id_ = 0;
};

/// A queued fiber on an executor that is not ours. Dropped, it unwinds the fiber.
class fiber_resumption {
public:
    explicit fiber_resumption(fiber& f) noexcept : fiber_(&f) {}
    fiber_resumption(fiber_resumption&& other) noexcept
        : fiber_(std::exchange(other.fiber_, nullptr)) {}
    fiber_resumption& operator=(fiber_resumption&&) = delete;
    ~fiber_resumption() {
        if (fiber_ != nullptr) {
            fiber_->destroy();
        }
    }
    void operator()() { std::exchange(fiber_, nullptr)->complete(); }

private:
    fiber* fiber_;
};

/// Whether threads that run fibers are to have a stack for signal handlers.
extern std::atomic<bool> signal_stacks_wanted;

/// What a thread knows of fibers.
struct fiber_thread {
    static constexpr unsigned most_idle = 256;

    fiber* current = nullptr;
    void* caller = nullptr;                 // where what runs that one goes on
    exception_state* exceptions = nullptr;  // the runtime's own; null until the first fiber
    bool has_signal_stack = false;
    fiber* idle = nullptr;  // those of the common pool, linked by next_
    unsigned idle_count = 0;
    const boost::asio::execution_context* serviced = nullptr;  // see fiber_service::ensure
    std::uint64_t serviced_epoch = 0;

    void open();
};

extern constinit thread_local fiber_thread this_fiber_thread;

inline fiber* fiber::current() noexcept { return this_fiber_thread.current; }

[[noreturn]] void throw_outside_of_fiber(const char* caller);

/// The calling fiber. Throws `std::logic_error` that names `caller` where there is none.
inline fiber& require_fiber(const char* caller) {
    fiber* const f = fiber::current();
    if (f == nullptr) [[unlikely]] {
        throw_outside_of_fiber(caller);
    }
    return *f;
}

inline bool fiber::send_home(operation* op) noexcept {
    return home_ != &this_thread_state && send_elsewhere(op);
}

/// A thread's stack for signal handlers: a fiber's own is no use to the one that reports its
/// overflow.
class signal_stack {
public:
    static void provide() noexcept;
    ~signal_stack();
    signal_stack(const signal_stack&) = delete;
    signal_stack& operator=(const signal_stack&) = delete;

private:
    signal_stack() noexcept;
    void* memory_ = nullptr;
    std::size_t size_ = 0;
};

/// Unwinds the fibers that still wait when their context is destroyed.
class fiber_service : public boost::asio::execution_context::service {
public:
    static inline boost::asio::execution_context::id id;

    explicit fiber_service(boost::asio::execution_context& c) : service(c) {}
    /// Sees to it that `c` has the service.
    static void ensure(boost::asio::execution_context& c, fiber_thread& t);

private:
    void shutdown() override;
};

}  // namespace rung::detail
