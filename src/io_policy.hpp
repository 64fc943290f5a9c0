#pragma once

#include <cstdint>
#include <rung/detail/io_operation.hpp>

/// What the loop does with each answer of the kernel, without a kernel: doc/decisions/0050.
namespace rung::detail {

/// Whether an operation waits by a poll, after which it is a call, rather than by an entry of its own.
inline bool waits_by_poll(const io_operation& op, descriptor_kind object) noexcept {
    switch (op.kind) {
        case io_kind::receive:
        case io_kind::receive_msg:
            return object == descriptor_kind::queues_errors ||
                   (op.flags & (MSG_OOB | MSG_ERRQUEUE)) != 0;
        case io_kind::send:
        case io_kind::send_msg:
        case io_kind::connect:
        case io_kind::wait:
            return true;
        case io_kind::read:
        case io_kind::write:
        case io_kind::read_vector:
        case io_kind::write_vector:
            return object != descriptor_kind::regular_file;
        default:
            return false;
    }
}

/// What becomes of an operation.
enum class verdict : std::uint8_t {
    ended,      // the answer is its result
    once_more,  // the same entry again: the kernel had ended it early
    poll,       // it waits by a poll from now on
    watch,      // it waits by an edge-triggered poll: another one would end at once again
    call,       // it may be done now, by a call that does not wait
    pause,      // it is called again after a while: there is nothing to poll for
    refuse,     // the descriptor cannot be waited for
};

/// After the end of its entry with `answer`: a count, a mask of events, or a negated errno.
verdict after_entry(const io_operation& op, std::int32_t answer) noexcept;

/// After a call with `answer`, a count or a negated errno.
verdict after_call(const io_operation& op, std::int32_t answer) noexcept;

/// The length of the n-th pause, from one on.
std::int64_t pause_ns(unsigned n) noexcept;

}  // namespace rung::detail
