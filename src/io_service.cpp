#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <cerrno>
#include <rung/detail/io_service.hpp>
#include <utility>

#include "io_policy.hpp"
#include "transfer.hpp"

namespace rung::detail {

using error_code = boost::system::error_code;

namespace {

bool is_file(const io_operation& op) noexcept {
    return op.kind == io_kind::read || op.kind == io_kind::write ||
           op.kind == io_kind::read_vector || op.kind == io_kind::write_vector;
}

bool is_non_blocking(const io_object_state& s) noexcept {
    return (s.flags & descriptor_ops::non_blocking) != 0;
}

bool has_option(int socket, int level, int name) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(socket, level, name, &value, &size) == 0 && value != 0;
}

/// Finds out what is special about an object, before its first transfer.
void learn_kind(io_object_state& s, const io_operation& op) noexcept {
    if ((op.flags & MSG_ZEROCOPY) != 0) {
        s.kind = descriptor_kind::queues_errors;
    }
    if (s.kind_known) {
        return;
    }
    s.kind_known = true;
    if (is_file(op)) {
        struct stat about {};
        if (::fstat(s.descriptor, &about) == 0 &&
            (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode))) {
            s.kind = descriptor_kind::regular_file;
        }
    } else if ((s.flags & socket_ops::stream_oriented) == 0 &&
               (has_option(s.descriptor, SOL_IP, IP_RECVERR) ||
                has_option(s.descriptor, SOL_IPV6, IPV6_RECVERR))) {
        s.kind = descriptor_kind::queues_errors;
    }
}

/// Has an operation that a slot may cancel make its call when its handler's turn has come.
///
/// Whoever emits a cancellation drops what the operation still ends with, as the awaitable operators
/// do with the loser. So it must not have taken anything that a reactor would have left: no bytes,
/// no connection.
void take_nothing_early(io_object_state& s, io_operation& op) {
    switch (op.kind) {
        case io_kind::receive:
        case io_kind::receive_msg:
            op.by_poll = op.takes_late = true;
            break;
        case io_kind::accept: {
            // No flag of the call makes it wait for nothing.
            error_code failed;
            if ((s.flags & socket_ops::non_blocking) == 0) {
                socket_ops::set_internal_non_blocking(s.descriptor, s.flags, true, failed);
            }
            op.by_poll = op.takes_late = op.in_turn = !failed;
            break;
        }
        default:  // waits by a poll as it is, or takes nothing away
            break;
    }
}

}  // namespace

io_service_base::native_handle_type io_service_base::release(io_object_state& s, error_code& ec) {
    if (!is_open(s)) {
        ec = boost::asio::error::bad_descriptor;
        return -1;
    }
    ec = {};
    engine::detach(*engine_, s.operations);
    s.flags = 0;
    return std::exchange(s.descriptor, -1);
}

error_code io_service_base::cancel(io_object_state& s, error_code& ec) {
    if (!is_open(s)) {
        ec = boost::asio::error::bad_descriptor;
        return ec;
    }
    ec = {};
    engine::cancel_all(*engine_, s.operations);
    return ec;
}

error_code io_service_base::adopt(io_object_state& s, int descriptor, unsigned char flags,
                                  error_code& ec) {
    if (is_open(s)) {
        ec = boost::asio::error::already_open;
    } else if (::fcntl(descriptor, F_GETFD) == -1) {  // to be told now, not at its first use
        ec.assign(errno, boost::system::system_category());
    } else {
        s.descriptor = descriptor;
        s.flags = flags;
        s.kind = descriptor_kind::plain;
        s.kind_known = s.reads_tried = false;
        ec = {};
    }
    return ec;
}

void io_service_base::take(io_object_state& to, const io_service_base& from_service,
                           io_object_state& from) noexcept {
    to.descriptor = std::exchange(from.descriptor, -1);
    to.flags = std::exchange(from.flags, static_cast<unsigned char>(0));
    to.kind = from.kind;
    to.kind_known = from.kind_known;
    to.reads_tried = from.reads_tried;
    if (to.descriptor != -1) {
        engine::move_list(*from_service.engine_, to.operations, from.operations);
    }
}

void io_service_base::end_at_once(io_operation* op, bool speculated) {
    if (op->may_be_immediate) {
        op->complete();
    } else {
        engine::complete_now(*engine_, op, speculated);
    }
}

void io_service_base::start(io_object_state& s, io_operation* op, cancel_link* link) {
    if (!is_open(s)) {
        op->result = -EBADF;
        end_at_once(op, false);
        return;
    }
    if (link != nullptr) {
        take_nothing_early(s, *op);
    }
    op->descriptor = s.descriptor;
    op->report_aborted = (s.flags & socket_ops::enable_connection_aborted) != 0;
    engine::start(*engine_, op, &s.operations, link);
}

void io_service_base::start_transfer(io_object_state& s, io_operation* op, cancel_link* link) {
    if (!is_open(s)) {
        start(s, op, link);
        return;
    }
    op->descriptor = s.descriptor;
    learn_kind(s, *op);
    op->by_poll = waits_by_poll(*op, s.kind);
    const bool receives = op->receives();
    const bool ordered = receives || op->sends();
    op->in_turn = ordered && engine::has_transfers(*engine_, s.operations, receives);
    // What sends shows its effect at once. What is to be received may still come from a handler that
    // is waiting to run, and so is looked for by the loop.
    const bool now = op->sends() || (receives && is_file(*op) && !s.reads_tried);
    if (now && !op->in_turn) {
        op->result = try_now(s, *op);
        if (op->result != -EAGAIN) {
            end_at_once(op, true);
            return;
        }
    } else {
        op->plain_call = is_file(*op) && is_non_blocking(s);
        op->try_first = receives && !op->in_turn;
    }
    start(s, op, link);
}

/// A call that does not wait. Where the descriptor cannot promise that, as a terminal cannot, it is
/// put into non-blocking mode, as Asio does with every descriptor.
std::int32_t io_service_base::try_now(io_object_state& s, io_operation& op) {
    op.plain_call = is_file(op) && is_non_blocking(s);
    const std::int32_t result = try_transfer(op);
    if (result != -EOPNOTSUPP || op.plain_call || !is_file(op)) {
        s.reads_tried = s.reads_tried || op.receives();
        return result;
    }
    if (s.kind != descriptor_kind::regular_file) {
        error_code ec;
        if (!descriptor_ops::set_internal_non_blocking(s.descriptor, s.flags, true, ec)) {
            return -ec.value();
        }
    } else if (op.receives()) {
        return -EAGAIN;  // an entry reads it
    }
    op.plain_call = true;
    return try_transfer(op);
}

void io_service_base::start_connect(io_object_state& s, io_operation* op, cancel_link* link) {
    if (is_open(s)) {
        op->descriptor = s.descriptor;
        op->result = try_connect(*op);
        switch (after_call(*op, op->result)) {
            case verdict::poll:
                op->by_poll = true;
                break;
            case verdict::pause:
                op->pauses = 1;
                break;
            default:
                end_at_once(op, true);
                return;
        }
    }
    start(s, op, link);
}

}  // namespace rung::detail
