#include <rung/detail/engine.hpp>

#include "scheduler.hpp"

namespace rung::detail::engine {

io_context& context_of(const scheduler& s) noexcept { return s.context(); }

void post(scheduler& s, operation* op) noexcept { s.post(op); }

bool post_to_thread(scheduler& s, operation* op, const void* thread) noexcept {
    return s.post_to_thread(op, thread);
}

void work_started(scheduler& s) noexcept { s.work_started(); }
void work_finished(scheduler& s) noexcept { s.work_finished(); }

void capture_exception(thread_state& t) noexcept {
    static_cast<running_thread&>(t).capture_exception();
}

void count_as(scheduler& s, unsigned n) noexcept { s.count_as(n); }

void start(scheduler& s, io_operation* op, io_list* list, cancel_link* link) noexcept {
    s.start(op, list, link);
}

bool has_transfers(scheduler& s, const io_list& list, bool receives) noexcept {
    return s.has_transfers(list, receives);
}

bool attempt(io_operation* op, operation::action what) noexcept {
    return this_thread_state->running->attempt(op, what);
}

void complete_now(scheduler& s, io_operation* op, bool speculated) noexcept {
    s.complete_now(op, speculated);
}

void cancel_all(scheduler& s, io_list& list) noexcept { s.cancel_all(list); }
void detach(scheduler& s, io_list& list) noexcept { s.detach(list); }
void move_list(scheduler& s, io_list& to, io_list& from) noexcept { s.move_list(to, from); }

void cancel(cancel_link& link) noexcept { link.engine->cancel(link); }
void unlink(cancel_link& link) noexcept { link.engine->unlink(link); }

void wait(scheduler& s, timer_node& timer, std::int64_t deadline_ns, wait_operation* op,
          cancel_link* link) {
    s.wait(timer, deadline_ns, op, link);
}

std::size_t cancel_waits(scheduler& s, timer_node& timer, std::size_t limit) noexcept {
    return s.cancel_waits(timer, limit);
}

void cancel_wait(cancel_link& link) noexcept { link.engine->cancel_wait(link); }

void move_timer(scheduler& s, timer_node& to, timer_node& from) noexcept { s.move_timer(to, from); }

}  // namespace rung::detail::engine
