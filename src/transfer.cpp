#include "transfer.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace rung::detail {

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
            default:
                n = ::sendmsg(op.descriptor, static_cast<const msghdr*>(op.address), flags);
                break;
        }
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : static_cast<std::int32_t>(n);
}

}  // namespace rung::detail
