#pragma once

#include <cstddef>
#include <exception>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/thread_state.hpp>
#include <utility>

namespace rung::detail {

/// One activation of `run…`, `poll…` or `shutdown` on this thread.
class running_thread : public thread_state {
public:
    explicit running_thread(scheduler& s);
    ~running_thread();
    running_thread(const running_thread&) = delete;
    running_thread& operator=(const running_thread&) = delete;

    void capture_exception() noexcept;

    /// To be said at the beginning: whether it runs a number of handlers, or until some time.
    void bound(bool bounded) noexcept { notable_ = bounded_ = bounded; }

    /// Has `run()` and its like count the running operation as `n` handlers.
    void count_as(unsigned n) noexcept {
        notable_ = true;
        count_ = n;
    }

    /// Sees to what a notable operation has left behind: throws the exception, if any, and gives the
    /// number of handlers to count.
    std::size_t aftermath() {
        notable_ = bounded_;
        const unsigned n = std::exchange(count_, 1);
        if (exception_ != nullptr) {
            several_exceptions_ = false;
            std::rethrow_exception(std::exchange(exception_, nullptr));
        }
        return n;
    }

private:
    friend class scheduler;

    scheduler& scheduler_;
    running_thread* next_ = nullptr;       // of the scheduler's list
    running_thread* nested_in_ = nullptr;  // this thread's activation of the same scheduler below
    bool notable_ = false;                 // bounded_, or there is an exception_, or count_ is not 1
    unsigned count_ = 1;                   // handlers that the running operation is worth
    bool bounded_ = false;                 // runs a number of handlers, or until some time
    const void* const thread_ = &this_thread_state;
    intrusive_queue<operation> own_;   // what no other thread may run; while several run
    bool own_turn_ = false;            // own_ comes next, rather than the common queue
    bool idle_ = false;                // waits for a handler
    bool several_exceptions_ = false;  // exception_ stands for them
    std::exception_ptr exception_;
    asio_thread_scope asio_scope_;
};

}  // namespace rung::detail
