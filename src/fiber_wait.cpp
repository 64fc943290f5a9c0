/// A fiber's waits, and the tasks that start fibers.

#include <boost/asio/error.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/system_error.hpp>
#include <rung/detail/fiber_deadline.hpp>
#include <utility>

#include "fiber_switch.hpp"

namespace rung::detail {

namespace {

/// A queued task on an executor that is not ours.
class beginning {
public:
    explicit beginning(fiber_task* t) noexcept : task_(t) {}
    beginning(beginning&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
    beginning& operator=(beginning&&) = delete;
    ~beginning() {
        if (task_ != nullptr) {
            task_->destroy();
        }
    }
    void operator()() { std::exchange(task_, nullptr)->complete(); }

private:
    fiber_task* task_;
};

}  // namespace

boost::asio::execution_context& carrier_executor::query(
    boost::asio::execution::context_t) const noexcept {
    if (const executor* const ex = native()) {
        return ex->context();
    }
    return boost::asio::query(other(), boost::asio::execution::context);
}

void fiber_task::finish(operation* base, action what) {
    auto* const self = static_cast<fiber_task*>(base);
    if (what == action::destroy) {
        self->body_(self, step::destroy, nullptr);
    } else {
        begin(self);
    }
}

void fiber_task::begin(fiber_task* task) {
    fiber* f = nullptr;
    try {
        f = &fiber::obtain(task->settings);
    } catch (...) {
        const std::exception_ptr error = std::current_exception();
        task->body_(task, step::fail, &error);
        return;
    }
    f->start(*task);
}

void post_fiber(fiber_task* task) {
    if (const executor* const ex = task->carrier.native()) {
        engine::post(executor_access::engine_of(*ex), task);
    } else {
        const auto other =
            boost::asio::require(task->carrier.other(), boost::asio::execution::blocking.never);
        other.execute(beginning(task));
    }
}

void execute_fiber(fiber_task* task) {
    const executor* const ex = task->carrier.native();
    if (ex == nullptr) {
        const auto other = task->carrier.other();
        other.execute(beginning(task));
        return;
    }
    thread_state* const here = find_thread_state(executor_access::engine_of(*ex));
    const bool may_run =
        ex->query(boost::asio::execution::blocking) == boost::asio::execution::blocking.possibly;
    if (here == nullptr || !here->runs_handlers || !may_run) {
        engine::post(executor_access::engine_of(*ex), task);
        return;
    }
    try {
        task->complete();
    } catch (...) {
        engine::capture_exception(*here);
    }
}

namespace {

void throw_cancelled() {
    throw boost::system::system_error(boost::asio::error::operation_aborted,
                                      "the fiber was cancelled");
}

}  // namespace

fiber_wait::fiber_wait() : fiber_(require_fiber("rung::use_fiber")), carrier_(&fiber_.carrier()) {
    fiber_.begin_wait();
    if (fiber_cancellation* const c = fiber_.cancellation()) [[unlikely]] {
        if (c->requested != boost::asio::cancellation_type::none) {
            never_suspended();
            throw_cancelled();
        }
        slot_ = c->signal.slot();
    }
}

void check_fiber() {
    fiber& f = require_fiber("rung::use_fiber");
    const fiber_cancellation* const c = f.cancellation();
    if (c != nullptr && c->requested != boost::asio::cancellation_type::none) [[unlikely]] {
        throw_cancelled();
    }
    f.take_turn();
}

void fiber_wait::suspend() {
    suspended_ = true;
    fiber_.suspend();
}

void fiber_wait::never_suspended() noexcept { fiber_.end_start(); }

void fiber_wait::complete() {
    if (deadline_ != nullptr) [[unlikely]] {
        deadline_->operation_ended();
    } else {
        wake();
    }
}

void fiber_wait::wake() {
    if (later_) {
        fiber_.wake_later();
    } else {
        fiber_.wake();
    }
}

void fiber_wait::abandon() noexcept {
    if (deadline_ != nullptr) {
        deadline_->abandoned();
    } else {
        fiber_.abandon();
    }
}

const carrier_executor& fiber_handler_base::nowhere() noexcept {
    static const carrier_executor system{boost::asio::system_executor()};
    return system;
}

void end_of_fiber_function() noexcept { fiber::current()->destroy_locals(); }

}  // namespace rung::detail
