#pragma once

#include <cstddef>
#include <cstdint>
#include <rung/detail/cancel_link.hpp>
#include <rung/detail/io_operation.hpp>
#include <rung/detail/thread_state.hpp>
#include <rung/detail/wait_operation.hpp>

namespace rung {
class io_context;
}

/// The door between templates and the compiled engine. Every function may be called on any thread.
namespace rung::detail::engine {

/// The context to which the scheduler belongs.
io_context& context_of(const scheduler& s) noexcept;

/// Queues an operation to run at its level. Takes no lock on the loop's thread, nor on any other.
void post(scheduler& s, operation* op) noexcept;

/// Queues an operation that has come up on this thread of the loop for another one, and wakes that.
/// False, with nothing done, if that thread is not inside `run…` now. Threads are named by the address
/// of their `this_thread_state`.
bool post_to_thread(scheduler& s, operation* op, const void* thread) noexcept;

/// Counts work that keeps `run()` from returning.
void work_started(scheduler& s) noexcept;
void work_finished(scheduler& s) noexcept;

/// Keeps the exception being handled, for `run()` to throw once the running handler has returned.
void capture_exception(thread_state& t) noexcept;

/// Has `run()` and its like count the running operation as `n` handlers: none if it is the library's
/// own.
void count_as(scheduler& s, unsigned n) noexcept;

/// Hands an operation to the kernel, now or with the loop's next batch. Completes once, through the
/// run queue. It joins `list`, if any; `link`, if any, is the slot handler that may cancel it.
void start(scheduler& s, io_operation* op, io_list* list, cancel_link* link) noexcept;

/// Makes the call of an operation that is `ready`, or ends it without. False if there was nothing to
/// be had after all, so that it waits again. On a thread of the loop only.
bool attempt(io_operation* op, operation::action what) noexcept;

/// Whether a receive (or else a send) is in flight on the list, and must not be overtaken.
bool has_transfers(scheduler& s, const io_list& list, bool receives) noexcept;

/// To be called first when an operation that is `ready` is taken from the run queue: makes its call,
/// or ends it where it is to be destroyed. False if it has to wait once more; nothing is left to do
/// then.
bool attempt(io_operation* op, operation::action what) noexcept;

/// Queues an operation that is already done, with its result set.
void complete_now(scheduler& s, io_operation* op, bool speculated) noexcept;

/// Asks for the end of every operation on the list. They complete with `operation_aborted`.
void cancel_all(scheduler& s, io_list& list) noexcept;

/// Whether a thread outside the loop waits until the kernel has let go of a file, for which the loop's
/// thread has to pass through the kernel.
enum class departure : std::uint8_t {
    awaited,
    if_noticed,  ///< where others would notice: a socket keeps its name bound for so long
};

/// Cancels as `cancel_all` does and takes the operations off the list. When it returns, no entry names
/// the descriptor; and the kernel has let go of its file, always so on a thread of the loop.
void detach(scheduler& s, io_list& list, departure d = departure::awaited,
            int socket = -1) noexcept;

/// Moves the operations of one object to another.
void move_list(scheduler& s, io_list& to, io_list& from) noexcept;

/// Asks for the end of the operation behind a slot handler, if it is still there.
void cancel(cancel_link& link) noexcept;

/// Ends the tie between a slot handler and its operation.
void unlink(cancel_link& link) noexcept;

/// Adds a wait to a timer and arms it for `deadline_ns` on CLOCK_MONOTONIC. Throws
/// `std::bad_alloc`, with the wait destroyed.
void wait(scheduler& s, timer_node& timer, std::int64_t deadline_ns, wait_operation* op,
          cancel_link* link);

/// Ends at most `limit` waits of the timer with `operation_aborted`; gives their number.
std::size_t cancel_waits(scheduler& s, timer_node& timer, std::size_t limit) noexcept;

/// Ends the waits of a timer likewise, and forgets it: it may be destroyed.
void remove_timer(scheduler& s, timer_node& timer) noexcept;

/// Ends the wait behind a slot handler, if it is still there.
void cancel_wait(cancel_link& link) noexcept;

/// Moves deadline and waits of one timer to another, which has none.
void move_timer(scheduler& s, timer_node& to, timer_node& from) noexcept;

}  // namespace rung::detail::engine
