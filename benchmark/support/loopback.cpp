#include "loopback.hpp"

#include "failure.hpp"

#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace bench {

namespace {

/// An address of any transport, as bind and connect take it.
struct any_address {
    sockaddr_storage bytes{};
    socklen_t size = 0;

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&bytes); }
};

any_address loopback_address(transport t, std::uint16_t port) noexcept {
    any_address result;
    if (t == transport::local) {
        const std::string name = local_name(port);
        auto& address = reinterpret_cast<sockaddr_un&>(result.bytes);
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, name.data(), name.size());
        result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    } else {
        auto& address = reinterpret_cast<sockaddr_in&>(result.bytes);
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        result.size = sizeof(sockaddr_in);
    }
    return result;
}

int make_socket(transport t, int flags) {
    const int type = t == transport::udp ? SOCK_DGRAM : SOCK_STREAM;
    const int descriptor =
        ::socket(t == transport::local ? AF_UNIX : AF_INET, type | SOCK_CLOEXEC | flags, 0);
    if (descriptor < 0) {
        fail_errno("cannot make a socket");
    }
    return descriptor;
}

}  // namespace

transport parse_transport(std::string_view name) {
    if (name == "tcp") {
        return transport::tcp;
    }
    if (name == "local") {
        return transport::local;
    }
    if (name == "udp") {
        return transport::udp;
    }
    throw failure("the transport is tcp, local or udp, not " + std::string(name));
}

std::string local_name(std::uint16_t port) {
    using namespace std::string_literals;
    return "\0rung-bench-"s + std::to_string(port);
}

std::uint16_t local_port() noexcept {
    constexpr int ports = 65'535;
    return static_cast<std::uint16_t>(::getpid() % ports + 1);
}

listener listen_on_loopback(bool non_blocking, transport t) {
    const int descriptor = make_socket(t, non_blocking ? SOCK_NONBLOCK : 0);
    const std::uint16_t wanted = t == transport::local ? local_port() : 0;
    any_address address = loopback_address(t, wanted);
    if (::bind(descriptor, address.data(), address.size) != 0 ||
        (t != transport::udp && ::listen(descriptor, SOMAXCONN) != 0) ||
        ::getsockname(descriptor, address.data(), &address.size) != 0) {
        fail_errno("cannot listen on the loopback");
    }
    if (t == transport::udp) {
        enlarge_receive_buffer(descriptor);
    }
    const auto& named = reinterpret_cast<const sockaddr_in&>(address.bytes);
    return {descriptor, t == transport::local ? wanted : ntohs(named.sin_port)};
}

int connect_to_loopback(std::uint16_t port, transport t) {
    const int descriptor = make_socket(t, 0);
    any_address address = loopback_address(t, port);
    if (::connect(descriptor, address.data(), address.size) != 0) {
        const int error = errno;
        ::close(descriptor);
        errno = error;
        fail_errno("cannot connect to the server on port " + std::to_string(port));
    }
    if (t == transport::tcp) {
        set_no_delay(descriptor);
        const linger reset{1, 0};
        ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    return descriptor;
}

void enlarge_receive_buffer(int socket) noexcept {
    const int bytes = 8 * 1024 * 1024;
    if (::setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
        ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
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
