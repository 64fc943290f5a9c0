#include "loopback.hpp"

#include "failure.hpp"

#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace bench {

namespace {

sockaddr_in loopback_address(std::uint16_t port) noexcept {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

listener listen_on_loopback(bool non_blocking) {
    const int type = SOCK_STREAM | SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0);
    const int descriptor = ::socket(AF_INET, type, 0);
    sockaddr_in address = loopback_address(0);
    socklen_t length = sizeof address;
    if (descriptor < 0 ||
        ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
        ::listen(descriptor, SOMAXCONN) != 0 ||
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        fail_errno("cannot listen on the loopback");
    }
    return {descriptor, ntohs(address.sin_port)};
}

int connect_to_loopback(std::uint16_t port) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        fail_errno("cannot make a socket");
    }
    const sockaddr_in address = loopback_address(port);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        ::close(descriptor);
        errno = error;
        fail_errno("cannot connect to the server on port " + std::to_string(port));
    }
    set_no_delay(descriptor);
    const linger reset{1, 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return descriptor;
}

void set_no_delay(int socket) noexcept {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void require_io_uring(unsigned setup_flags) {
    io_uring_params parameters{};
    parameters.flags = setup_flags;
    const long descriptor = ::syscall(__NR_io_uring_setup, 2u, &parameters);
    if (descriptor >= 0) {
        ::close(static_cast<int>(descriptor));
        return;
    }
    const std::string text = std::strerror(errno);
    switch (errno) {
        case ENOSYS:
            throw unavailable("this kernel has no io_uring");
        case EPERM:
            throw unavailable(
                "io_uring is forbidden here (kernel.io_uring_disabled, or a container's "
                "seccomp filter)");
        case EINVAL:
            throw unavailable("this kernel's io_uring is too old for the flags that are used");
        default:
            throw unavailable("io_uring cannot be set up: " + text);
    }
}

}  // namespace bench
