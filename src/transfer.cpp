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
    const ssize_t n = op.receives()
                          ? ::preadv2(op.descriptor, buffers, count, own_position, RWF_NOWAIT)
                          : ::pwritev2(op.descriptor, buffers, count, own_position, RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP) {
        errno = EAGAIN;  // a terminal, for one, cannot promise not to wait
    }
    return n;
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
            default:
                n = try_file(op);
                break;
        }
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : static_cast<std::int32_t>(n);
}

}  // namespace rung::detail
