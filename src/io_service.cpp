#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <rung/detail/io_service.hpp>
#include <utility>

#include "transfer.hpp"

namespace rung::detail {

using error_code = boost::system::error_code;

namespace {

bool is_regular_file(int descriptor) noexcept {
    struct stat about {};
    return ::fstat(descriptor, &about) == 0 && (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode));
}

/// Has an operation that a slot may cancel wait for readiness only, and make its call when its
/// handler's turn has come.
///
/// Whoever emits a cancellation drops what the operation still ends with, as the awaitable operators
/// do with the loser. So it must not have taken anything that a reactor would have left: no bytes,
/// no connection.
void take_nothing_early(io_object_state& s, io_operation& op) {
    error_code failed;
    switch (op.kind) {
        case io_kind::receive:
        case io_kind::receive_msg:
        case io_kind::send:
        case io_kind::send_msg:
            break;
        case io_kind::accept:
            // No flag of the call makes it wait for nothing; nor, on all descriptors, of the next.
            if ((s.flags & socket_ops::non_blocking) == 0) {
                socket_ops::set_internal_non_blocking(s.descriptor, s.flags, true, failed);
            }
            break;
        case io_kind::read:
        case io_kind::read_vector:
        case io_kind::write:
        case io_kind::write_vector:
            if (is_regular_file(s.descriptor)) {
                return;  // there is no waiting for one, and reading takes nothing away from it
            }
            if ((s.flags & descriptor_ops::non_blocking) == 0) {
                descriptor_ops::set_internal_non_blocking(s.descriptor, s.flags, true, failed);
            }
            break;
        default:
            return;
    }
    op.by_poll = op.polling = !failed;
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
        s.operations.sends = {};
        ec = {};
    }
    return ec;
}

void io_service_base::take(io_object_state& to, const io_service_base& from_service,
                           io_object_state& from) noexcept {
    to.descriptor = std::exchange(from.descriptor, -1);
    to.flags = std::exchange(from.flags, static_cast<unsigned char>(0));
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
    if (is_open(s) && !op->polling) {
        op->in_turn = engine::has_transfers(*engine_, s.operations, op->receives());
        if (op->receives()) {
            // What is to be received may still come from a handler that is waiting to run.
            op->try_first = !op->in_turn;
        } else if (!op->in_turn && s.operations.sends.worth_trying()) {
            op->descriptor = s.descriptor;
            const std::int32_t result = try_transfer(*op);
            if (result != -EAGAIN) {
                s.operations.sends.hit();
                op->result = result;
                end_at_once(op, true);
                return;
            }
            s.operations.sends.miss();
            op->poll_first = true;
        }
    }
    start(s, op, link);
}

}  // namespace rung::detail
