/// The life of a fiber: where it comes from, what it runs, when it waits and where it goes on.

#include "fiber.hpp"

#include <algorithm>
#include <bit>
#include <boost/asio/prefer.hpp>
#include <boost/asio/require.hpp>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "fiber_locals.hpp"
#include "fiber_switch.hpp"
#include "own_stacks.hpp"
#include "stack_store.hpp"

namespace rung::detail {

fiber::fiber() noexcept
    : stack_operation(&fiber::finish, level::normal), carrier_(executor_access::none()) {}

fiber& fiber::make(stack_slab::slot& s) {
    // Stacks lie a power of two apart. Their hot ends would share a few sets of the cache, were
    // they not moved against each other.
    constexpr std::size_t shift = 5 * alignof(fiber);
    constexpr std::size_t colours = 6;
    const stack m = s.memory();
    const auto number = reinterpret_cast<std::uintptr_t>(m.bottom) / m.size;
    char* const end = static_cast<char*>(m.bottom) + m.size;
    fiber& f = place(end - (number % colours) * shift, m);
    f.slot_ = &s;
    s.prepared = &f;
    return f;
}

fiber& fiber::make(own_stack& s) {
    char* const end = reinterpret_cast<char*>(&s);
    fiber& f = place(end - reinterpret_cast<std::uintptr_t>(end) % alignof(fiber), s.memory());
    f.own_ = &s;
    own_stacks::add(s, f);
    return f;
}

/// A fiber on the stack `m`, of which what is below `end` is free.
fiber& fiber::place(char* end, const stack& m) {
    char* const at = end - sizeof(fiber);
    auto* const f = ::new (static_cast<void*>(at)) fiber;
    f->context_ =
        make_stack<&fiber::main>(at, static_cast<std::size_t>(at - static_cast<char*>(m.bottom)));
    f->tsan_fiber_ = switching::create_fiber();
    f->valgrind_id_ = switching::register_stack(m.bottom, at);
    // The record before this one at the same address has counted, too, and ids are not used twice.
    constexpr unsigned functions_bits = 32;
    static std::atomic<std::uint64_t> records{0};
    f->generation_ = records.fetch_add(1, std::memory_order_relaxed) << functions_bits;
    return *f;
}

fiber& fiber::obtain(const fiber_settings* settings) {
    fiber_thread& t = this_fiber_thread;
    const bool reports =
        t.has_signal_stack || !signal_stacks_wanted.load(std::memory_order_relaxed);
    if (settings == nullptr && t.idle != nullptr && reports) [[likely]] {
        fiber& f = *t.idle;
        t.idle = static_cast<fiber*>(f.next_);
        --t.idle_count;
        return f;
    }
    return obtain_elsewhere(t, settings);
}

fiber& fiber::obtain_elsewhere(fiber_thread& t, const fiber_settings* settings) {
    t.open();
    if (settings != nullptr && settings->make_stack != nullptr) {
        return make(settings->make_stack(*settings));
    }
    stack_store* const common = &stack_pool::common().store();
    stack_store* const store =
        settings != nullptr && settings->stacks != nullptr ? settings->stacks : common;
    stack_slab::slot* const s = store->take(settings != nullptr ? settings->stack_size : 0);
    fiber& f = s->prepared != nullptr ? *s->prepared : make(*s);
    f.store_ = store;
    f.cacheable_ = store == common && common->is_default(*s);
    if (settings != nullptr && settings->name[0] != '\0') {
        f.set_name(settings->name.data());
    }
    return f;
}

void fiber::discard(fiber& f) noexcept {
    switching::destroy_fiber(f.tsan_fiber_);
    switching::forget_stack(f.valgrind_id_);
    const stack m = f.memory();
    f.~fiber();
    switching::clean_stack(m.bottom, m.size);
}

stack fiber::memory() const noexcept { return own_ != nullptr ? own_->memory() : slot_->memory(); }

/// Ends a fiber with its stack.
void fiber::free_own_stack() noexcept {
    own_stack* const own = own_;
    own_stacks::remove(*own);
    discard(*this);
    own->deallocate();
}

void fiber::start(fiber_task& task) {
    task_ = &task;
    carrier_ = task.carrier;
    level_ = task.level_;
    cancellation_ = task.cancellation;
    const executor* const native = carrier_.native();
    if (native != nullptr && executor_access::is_tracked(*native)) {
        // The fiber is work only once it waits, and its record outlives it.
        carrier_ = carrier_.require(boost::asio::execution::outstanding_work.untracked);
    }
    engine_ = native != nullptr ? &executor_access::engine_of(*native) : nullptr;
    home_ = &this_thread_state;
    ++generation_;
    at_once_ = 0;
    enter();
}

/// The whole life of a fiber, from one function to the next.
RUNG_SWITCHES_STACKS void fiber::main() {
    fiber* const self = current();
    switching::arrived(nullptr, &self->caller_stack_, &self->caller_stack_size_);
    for (;;) {
        self->run_task();
        self->end_task();
    }
}

void fiber::run_task() noexcept {
    try {
        task_->run();
    } catch (const forced_unwind&) {
    } catch (...) {
        escaped_ = std::current_exception();
    }
    destroy_locals();
}

void fiber::destroy_locals() noexcept {
    if (locals_ != nullptr) [[unlikely]] {
        delete locals_;  // which sees to what their destructors add to it
        locals_ = nullptr;
    }
}

/// Parks the fiber, on its own stack if nobody can take it from there before it has left that.
RUNG_SWITCHES_STACKS void fiber::end_task() {
    fiber_thread& t = this_fiber_thread;
    void* const caller = t.caller;
    status_.store(status::idle, std::memory_order_relaxed);
    if (is_traced()) [[unlikely]] {
        trace_fiber_stops(*this);
    }
    const bool simple = cacheable_ && engine_ != nullptr && course_ == course::plain &&
                        escaped_ == nullptr && t.idle_count < fiber_thread::most_idle;
    if (simple) [[likely]] {
        if (counted_) {
            end_work();
        }
        cancellation_ = nullptr;
        next_ = t.idle;
        t.idle = this;
        ++t.idle_count;
    }
    if (has_outer_ || t.exceptions->any()) [[unlikely]] {
        bring_outer_back(t);
    } else {
        t.current = nullptr;
    }
    jump_out(caller, !simple);
}

/// What runs the fiber may be another fiber, or in the middle of an exception.
void fiber::set_outer_aside(fiber_thread& t) noexcept {
    has_outer_ = true;
    outer_ = t.current;
    outer_caller_ = t.caller;
    outer_exceptions_ = *t.exceptions;
    *t.exceptions = exceptions_;
    throws_ = false;
}

void fiber::bring_outer_back(fiber_thread& t) noexcept {
    exceptions_ = *t.exceptions;
    throws_ = exceptions_.any();
    t.current = nullptr;
    *t.exceptions = {};
    if (has_outer_) {
        has_outer_ = false;
        t.current = outer_;
        t.caller = outer_caller_;
        *t.exceptions = outer_exceptions_;
    }
}

/// Sees to what a fiber has left for, on the stack of what runs it.
void fiber::see_to_it(void* p) {
    auto* const self = static_cast<fiber*>(p);
    if (self->idle()) {
        self->park();
        return;
    }
    if (!self->counted_) {
        self->first_suspension();
    }
    if (self->engine_ == nullptr) {
        self->resume_elsewhere();
    }
}

void fiber::throw_unwinding(void* self) { static_cast<fiber*>(self)->throw_if_unwinding(); }

/// On executors that several threads may serve, and of whose threads we know nothing, the fiber
/// tells only now, when it has left its stack, that it may go on.
void fiber::resume_elsewhere() {
    if (status_.load(std::memory_order_relaxed) == status::ready) {
        post_elsewhere();
    } else if (handshake_.exchange(handshake::suspended, std::memory_order_acq_rel) ==
               handshake::woken) {
        if (dropped_) {
            course_ = course::unwinding;
        }
        resume();
    }
}

void fiber::post_elsewhere() {
    boost::asio::require(carrier_.other(), boost::asio::execution::blocking.never)
        .execute(fiber_resumption(*this));
}

/// A fiber that waits is work, whatever it waits for, and its context must know of it.
void fiber::first_suspension() {
    counted_ = true;
    fiber_service::ensure(carrier_.query(boost::asio::execution::context), this_fiber_thread);
    context_of_wait_.store(&carrier_.query(boost::asio::execution::context),
                           std::memory_order_relaxed);
    if (engine_ != nullptr) {
        engine::work_started(*engine_);
    } else {
        work_ =
            boost::asio::prefer(carrier_.other(), boost::asio::execution::outstanding_work.tracked);
    }
}

void fiber::end_work() noexcept {
    counted_ = false;
    context_of_wait_.store(nullptr, std::memory_order_relaxed);
    if (engine_ != nullptr) {
        engine::work_finished(*engine_);
    } else {
        work_ = {};
    }
}

void fiber::park() {
    fiber_thread& t = this_fiber_thread;
    if (counted_) {
        end_work();
    }
    course_ = course::plain;
    woken_ = false;
    dropped_ = false;
    swallowed_ = 0;
    cancellation_ = nullptr;
    if (engine_ == nullptr) {
        handshake_.store(handshake::running, std::memory_order_relaxed);
        carrier_ = carrier_executor(executor_access::none());
    }
    std::exception_ptr escaped = std::move(escaped_);
    if (cacheable_ && t.idle_count < fiber_thread::most_idle) [[likely]] {
        next_ = std::exchange(t.idle, this);
        ++t.idle_count;
    } else if (own_ != nullptr) {
        free_own_stack();
    } else {
        name_[0] = '\0';
        store_->give(slot_);
    }
    if (escaped != nullptr) [[unlikely]] {
        std::rethrow_exception(std::move(escaped));
    }
}

void fiber::resume() { enter(); }

/// The fiber has come off a queue.
void fiber::finish(operation* base, action what) {
    auto* const self = static_cast<fiber*>(base);
    if (what == action::destroy) {
        self->queued_.store(false, std::memory_order_relaxed);
        self->unwind();
    } else if (self->engine_ == nullptr || !self->send_home(self)) {
        self->queued_.store(false, std::memory_order_relaxed);
        if (self->dropped_ && self->status_.load(std::memory_order_relaxed) == status::waiting)
            [[unlikely]] {
            self->course_ = course::unwinding;
        }
        self->enter();
    }
}

bool fiber::send_elsewhere(operation* op) noexcept {
    if (engine_ != nullptr && engine::post_to_thread(*engine_, op, home_)) {
        return true;
    }
    home_ = &this_thread_state;  // its thread no longer runs the context: this one is its home now
    return false;
}

void fiber::set_name(std::string_view name) noexcept {
    const std::size_t kept = std::min(name.size(), name_.size() - 1);
    std::copy_n(name.begin(), kept, name_.begin());
    name_[kept] = '\0';
    cacheable_ = false;  // the pool takes the name off
}

void fiber::set_priority(priority p) {
    carrier_ = carrier_.require(p);
    if (carrier_.native() != nullptr) {
        level_ = executor_access::level_of(*carrier_.native());
    }
}

void throw_outside_of_fiber(const char* caller) {
    throw std::logic_error(std::string(caller) +
                           " works in a fiber only: start one with rung::spawn, or submit the "
                           "function to a rung::fiber_executor");
}

}  // namespace rung::detail
