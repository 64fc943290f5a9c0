#include "transfer.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

namespace rung::detail {

namespace {

/// A read or write as a call that does not wait, whatever the descriptor's mode.
ssize_t try_file(const io_operation& op) noexcept {
    constexpr off_t own_position = -1;
    const iovec one{.iov_base = op.address, .iov_len = op.length};
    const bool vector = op.kind == io_kind::read_vector || op.kind == io_kind::write_vector;
    const iovec* const buffers = vector ? static_cast<const iovec*>(op.address) : &one;
    const int count = vector ? static_cast<int>(op.length) : 1;
    const int flags = op.by_poll ? 0 : RWF_NOWAIT;  // the descriptor is non-blocking then
    const ssize_t n = op.receives()
                          ? ::preadv2(op.descriptor, buffers, count, own_position, flags)
                          : ::pwritev2(op.descriptor, buffers, count, own_position, flags);
    if (n < 0 && errno == EOPNOTSUPP) {
        errno = EAGAIN;  // a terminal, for one, cannot promise not to wait
    }
    return n;
}

/// The connection ended before it was accepted; there will be others.
bool is_aborted_connection(const io_operation& op) noexcept {
    return op.kind == io_kind::accept && !op.report_aborted &&
           (errno == ECONNABORTED || errno == EPROTO);
}

}  // namespace

std::int32_t try_transfer(const io_operation& op) noexcept {
    const int flags = op.flags | MSG_DONTWAIT;
    ssize_t n = -1;
    do {
        switch (op.kind) {
            case io_kind::receive:
                n = ::recv(op.descriptor, op.address, op.length, flags);
                break;
            case io_kind::send:
                n = ::send(op.descriptor, op.address, op.length, flags);
                break;
            case io_kind::receive_msg:
                n = ::recvmsg(op.descriptor, static_cast<msghdr*>(op.address), flags);
                break;
            case io_kind::send_msg:
                n = ::sendmsg(op.descriptor, static_cast<const msghdr*>(op.address), flags);
                break;
            case io_kind::accept:
                n = ::accept4(op.descriptor, static_cast<sockaddr*>(op.address), op.address_length,
                              op.flags);
                break;
            default:
                n = try_file(op);
                break;
        }
    } while (n < 0 && (errno == EINTR || is_aborted_connection(op)));
    return n < 0 ? -errno : static_cast<std::int32_t>(n);
}

}  // namespace rung::detail
