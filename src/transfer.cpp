#include "transfer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

namespace rung::detail {

namespace {

std::int32_t answer(ssize_t n) noexcept { return n < 0 ? -errno : static_cast<std::int32_t>(n); }

/// A read or write at the descriptor's own position.
ssize_t call_file(const io_operation& op) noexcept {
    constexpr off_t own_position = -1;
    const iovec one{.iov_base = op.address, .iov_len = op.length};
    const bool vector = op.kind == io_kind::read_vector || op.kind == io_kind::write_vector;
    const iovec* const buffers = vector ? static_cast<const iovec*>(op.address) : &one;
    const int count = vector ? static_cast<int>(op.length) : 1;
    const int flags = op.plain_call ? 0 : RWF_NOWAIT;
    return op.receives() ? ::preadv2(op.descriptor, buffers, count, own_position, flags)
                         : ::pwritev2(op.descriptor, buffers, count, own_position, flags);
}

/// Whether what `op` waits for is there, or will never be.
bool is_ready(const io_operation& op) noexcept {
    pollfd p{.fd = op.descriptor, .events = static_cast<short>(op.events), .revents = 0};
    return ::poll(&p, 1, 0) != 0;
}

std::int32_t outcome_of_connect(const io_operation& op) noexcept {
    if (!is_ready(op)) {
        return -EAGAIN;
    }
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(op.descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ? -errno : -error;
}

/// The connection ended before it was accepted; there will be others.
bool is_aborted_connection(const io_operation& op) noexcept {
    return op.kind == io_kind::accept && !op.report_aborted &&
           (errno == ECONNABORTED || errno == EPROTO);
}

}  // namespace

std::int32_t try_transfer(const io_operation& op) noexcept {
    const int flags = op.flags | MSG_DONTWAIT;
    if ((flags & MSG_OOB) != 0 && !op.sends() && !is_ready(op)) {
        return -EAGAIN;  // without urgent data the call fails instead
    }
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
                n = call_file(op);
                break;
        }
    } while (n < 0 && (errno == EINTR || is_aborted_connection(op)));
    return answer(n);
}

std::int32_t look_for_data(const io_operation& op) noexcept {
    char first = 0;
    ssize_t n = -1;
    do {
        n = ::recv(op.descriptor, &first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

std::int32_t try_connect(const io_operation& op) noexcept {
    const int mode = ::fcntl(op.descriptor, F_GETFL);
    const bool blocks = mode >= 0 && (mode & O_NONBLOCK) == 0;
    if (mode < 0 || (blocks && ::fcntl(op.descriptor, F_SETFL, mode | O_NONBLOCK) != 0)) {
        return -errno;
    }
    const auto* const peer = static_cast<const sockaddr*>(op.address);
    std::int32_t result = answer(::connect(op.descriptor, peer, static_cast<socklen_t>(op.length)));
    if (result == -EAGAIN && peer->sa_family != AF_UNIX) {
        result = -ENOBUFS;  // Asio's name for it: the system has no port left
    }
    if (blocks) {
        ::fcntl(op.descriptor, F_SETFL, mode);
    }
    return result;
}

std::int32_t try_operation(const io_operation& op) noexcept {
    switch (op.kind) {
        case io_kind::wait:
            return is_ready(op) ? 0 : -EAGAIN;
        case io_kind::connect:
            return op.by_poll ? outcome_of_connect(op) : try_connect(op);
        default:
            return try_transfer(op);
    }
}

}  // namespace rung::detail
