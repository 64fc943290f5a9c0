#pragma once

#include <array>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <rung/detail/carrier_executor.hpp>
#include <rung/detail/operation.hpp>

/// The door between fibers' templates and their compiled core.
namespace rung::detail {

class fiber;
class fiber_handler_base;
class own_stack;
class stack_store;

/// What unwinds the stack of a fiber whose wait will never end. Not a `std::exception`, so that
/// only `catch (...)` sees it, which must rethrow.
class forced_unwind {};

/// A fiber's name, cut to what fits.
using fiber_name = std::array<char, 24>;

/// What `fiber_options` come to.
struct fiber_settings {
    std::size_t stack_size = 0;     // 0: the pool's default
    stack_store* stacks = nullptr;  // null: the common pool's
    fiber_name name{};
    own_stack& (*make_stack)(const fiber_settings&) = nullptr;  // null: it is of the pool
};

/// How a request reaches a fiber and what it waits for. Touched on the fiber's executor only.
struct fiber_cancellation {
    boost::asio::cancellation_signal signal;  // of the operation for which the fiber waits
    boost::asio::cancellation_type_t requested = boost::asio::cancellation_type::none;
};

/// What a fiber is to run, on its way through a queue.
class fiber_task : public operation {
public:
    enum class step : std::uint8_t {
        run,      // on the fiber's stack: free the task and call the function
        fail,     // there is no stack for it, as the exception says
        destroy,  // free the task without calling the function
    };
    using body_type = void (*)(fiber_task*, step, const std::exception_ptr*);

    void run() { body_(this, step::run, nullptr); }

    carrier_executor carrier;
    const fiber_settings* settings = nullptr;    // null: all defaults
    fiber_cancellation* cancellation = nullptr;  // null: nobody can cancel the fiber

protected:
    fiber_task(body_type body, const carrier_executor& c) noexcept
        : operation(&fiber_task::finish, level_of(c)), carrier(c), body_(body) {}
    ~fiber_task() = default;

private:
    static level level_of(const carrier_executor& c) noexcept {
        return c.native() != nullptr ? executor_access::level_of(*c.native()) : level::normal;
    }
    static void finish(operation* base, action what);
    static void begin(fiber_task* task);

    body_type body_;
};

/// Queues a task on its carrier.
void post_fiber(fiber_task* task);
/// Runs a task at once if this thread may, else queues it, as the carrier's properties say.
void execute_fiber(fiber_task* task);

/// What the calling fiber waits for, in its own frame.
///
/// Made before the operation is started; the operation's handler ends it, on any thread, or before
/// the fiber has begun to wait, and then it does not wait at all.
class fiber_wait {
public:
    fiber_wait(const fiber_wait&) = delete;
    fiber_wait& operator=(const fiber_wait&) = delete;

    /// Suspends the fiber until the wait is over. Throws `forced_unwind` if it will never be.
    void suspend();

    /// Ends the wait: the result is there. The fiber goes on at once if that may be.
    void complete();
    /// Ends the wait: there will be no result. The fiber's stack is unwound.
    void abandon() noexcept;

    const carrier_executor& carrier() const noexcept { return *carrier_; }
    boost::asio::cancellation_slot slot() const noexcept { return slot_; }

protected:
    /// Throws `std::logic_error` outside of a fiber and within a function that starts another
    /// operation for this one, `forced_unwind` in one that is being unwound, and `operation_aborted`
    /// in one that was cancelled.
    fiber_wait();
    ~fiber_wait();

    /// Has that slot reach the operation, and not the fiber's.
    void use_slot(const boost::asio::cancellation_slot& s) noexcept { slot_ = s; }
    /// Parts the wait from its handler, if there still is one, which then has nothing to do.
    void part() noexcept;

private:
    friend class fiber_handler_base;
    friend class fiber_deadline;

    void wake();
    void never_suspended() noexcept;

    fiber& fiber_;
    const carrier_executor* const carrier_;
    bool later_ = false;                     // the fiber goes on from its executor's queue
    bool suspended_ = false;                 // or would have been, had the wait not been over
    fiber_handler_base* handler_ = nullptr;  // while there is one
    class fiber_deadline* deadline_ = nullptr;
    boost::asio::cancellation_slot slot_;
};

/// The part of a completion handler that ends a fiber's wait. The handler and the wait know each
/// other, because either may be destroyed first.
class fiber_handler_base {
public:
    using executor_type = carrier_executor;
    using cancellation_slot_type = boost::asio::cancellation_slot;

    fiber_handler_base(fiber_handler_base&& other) noexcept : wait_(other.wait_) {
        other.wait_ = nullptr;
        if (wait_ != nullptr) {
            wait_->handler_ = this;
        }
    }
    fiber_handler_base& operator=(fiber_handler_base&&) = delete;

    /// The handler of a fiber that is gone will find nothing to do wherever it is called.
    const executor_type& get_executor() const noexcept {
        return wait_ != nullptr ? wait_->carrier() : nowhere();
    }
    cancellation_slot_type get_cancellation_slot() const noexcept {
        return wait_ != nullptr ? wait_->slot() : cancellation_slot_type();
    }

    /// Has the fiber go on from its executor's queue once the handler is called, not within that.
    void call_later() noexcept {
        if (wait_ != nullptr) {
            wait_->later_ = true;
        }
    }

protected:
    explicit fiber_handler_base(fiber_wait& w) noexcept : wait_(&w) { w.handler_ = this; }
    /// Null if the fiber is gone.
    fiber_wait* wait() const noexcept { return wait_; }
    ~fiber_handler_base() {
        if (wait_ != nullptr) [[unlikely]] {
            release()->abandon();
        }
    }
    /// Parts the handler from its wait, which is null if the fiber is gone.
    fiber_wait* release() noexcept {
        fiber_wait* const w = wait_;
        wait_ = nullptr;
        if (w != nullptr) {
            w->handler_ = nullptr;
        }
        return w;
    }

private:
    friend class fiber_wait;
    static const executor_type& nowhere() noexcept;

    fiber_wait* wait_;
};

inline fiber_wait::~fiber_wait() {
    if (!suspended_) [[unlikely]] {
        never_suspended();  // the operation could not be started
    }
    if (slot_.is_connected()) [[unlikely]] {
        slot_.clear();  // of what the operation has put there
    }
    part();
}

inline void fiber_wait::part() noexcept {
    if (handler_ != nullptr) [[unlikely]] {
        handler_->wait_ = nullptr;
        handler_ = nullptr;
    }
}

/// That the calling fiber may start an operation which may end at once. Throws as `fiber_wait()`
/// does. Lets others run first if many such operations have ended at once.
void check_fiber();

/// The calling fiber's function has ended: destroys its values of `fiber_local`s.
void end_of_fiber_function() noexcept;

}  // namespace rung::detail
