#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <rung/detail/socket_state.hpp>
#include <utility>

#include "transfer.hpp"

namespace rung::detail {

void socket_service_base::destroy(socket_state& s) noexcept {
    if (!is_open(s)) {
        return;
    }
    engine::detach(*engine_, s.operations);
    error_code ignored;
    socket_ops::close(s.descriptor, s.flags, true, ignored);
}

void socket_service_base::take(socket_state& to, const socket_service_base& from_service,
                               socket_state& from) noexcept {
    destroy(to);
    to.descriptor = std::exchange(from.descriptor, -1);
    to.flags = std::exchange(from.flags, socket_ops::state_type{});
    if (to.descriptor != -1) {
        engine::move_list(*from_service.engine_, to.operations, from.operations);
    }
}

socket_service_base::error_code socket_service_base::close(socket_state& s, error_code& ec) {
    ec = {};
    if (is_open(s)) {
        engine::detach(*engine_, s.operations);
        // The descriptor is gone even where close reports an error.
        socket_ops::close(s.descriptor, s.flags, false, ec);
        s.descriptor = -1;
        s.flags = 0;
    }
    return ec;
}

socket_service_base::native_handle_type socket_service_base::release(socket_state& s,
                                                                     error_code& ec) {
    if (!is_open(s)) {
        ec = boost::asio::error::bad_descriptor;
        return -1;
    }
    ec = {};
    engine::detach(*engine_, s.operations);
    s.flags = 0;
    return std::exchange(s.descriptor, -1);
}

socket_service_base::error_code socket_service_base::cancel(socket_state& s, error_code& ec) {
    if (!is_open(s)) {
        ec = boost::asio::error::bad_descriptor;
        return ec;
    }
    ec = {};
    engine::cancel_all(*engine_, s.operations);
    return ec;
}

socket_service_base::error_code socket_service_base::wait(socket_state& s,
                                                          boost::asio::socket_base::wait_type w,
                                                          error_code& ec) {
    switch (w) {
        case boost::asio::socket_base::wait_read:
            socket_ops::poll_read(s.descriptor, s.flags, -1, ec);
            break;
        case boost::asio::socket_base::wait_write:
            socket_ops::poll_write(s.descriptor, s.flags, -1, ec);
            break;
        case boost::asio::socket_base::wait_error:
            socket_ops::poll_error(s.descriptor, s.flags, -1, ec);
            break;
        default:
            ec = boost::asio::error::invalid_argument;
            break;
    }
    return ec;
}

socket_service_base::error_code socket_service_base::open_descriptor(socket_state& s, int family,
                                                                     int type, int protocol,
                                                                     error_code& ec) {
    if (is_open(s)) {
        ec = boost::asio::error::already_open;
        return ec;
    }
    socket_holder opened(socket_ops::socket(family, type, protocol, ec));
    if (opened.get() != -1) {
        adopt(s, type, opened.release());
    }
    return ec;
}

socket_service_base::error_code socket_service_base::assign_descriptor(socket_state& s, int type,
                                                                       int descriptor,
                                                                       error_code& ec) {
    if (is_open(s)) {
        ec = boost::asio::error::already_open;
        return ec;
    }
    if (::fcntl(descriptor, F_GETFD) == -1) {  // to be told now, not at its first use
        ec.assign(errno, boost::system::system_category());
        return ec;
    }
    adopt(s, type, descriptor);
    s.flags |= socket_ops::possible_dup;
    ec = {};
    return ec;
}

void socket_service_base::adopt(socket_state& s, int type, int descriptor) noexcept {
    s.descriptor = descriptor;
    s.flags = 0;
    s.operations.sends = {};
    if (type == SOCK_STREAM) {
        s.flags |= socket_ops::stream_oriented;
    } else if (type == SOCK_DGRAM) {
        s.flags |= socket_ops::datagram_oriented;
    }
}

void socket_service_base::start(socket_state& s, io_operation* op, cancel_link* link) noexcept {
    if (!is_open(s)) {
        op->result = -EBADF;
        engine::complete_now(*engine_, op, false);
        return;
    }
    op->descriptor = s.descriptor;
    op->report_aborted = (s.flags & socket_ops::enable_connection_aborted) != 0;
    engine::start(*engine_, op, &s.operations, link);
}

void socket_service_base::start_transfer(socket_state& s, io_operation* op,
                                         cancel_link* link) noexcept {
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
                engine::complete_now(*engine_, op, true);
                return;
            }
            s.operations.sends.miss();
            op->poll_first = true;
        }
    }
    start(s, op, link);
}

}  // namespace rung::detail
