#include "ipc_link.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace rung::ipc::detail {

namespace {

using boost::system::system_error;
constexpr std::size_t descriptors = 3;

/// A message of one byte with room for the descriptors.
struct message {
    message() noexcept {
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
    }
    char byte = 'r';
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(descriptors * sizeof(int))] = {};
    msghdr header{};
};

}  // namespace

void link::ring() const noexcept {
    const std::uint64_t one = 1;
    // Where the counter is full the peer has not looked for a long time, and will be woken anyway.
    static_cast<void>(::write(wakes_peer_.get(), &one, sizeof one) == sizeof one);
}

std::shared_ptr<link> make_link(const boost::asio::any_io_executor& ex, unique_fd connection,
                                unique_fd wakes_us, unique_fd wakes_peer) {
    if (const executor* const native = native_executor(ex)) {
        return std::make_shared<link_on<executor>>(*native, std::move(connection),
                                                   std::move(wakes_us), std::move(wakes_peer));
    }
    return std::make_shared<link_on<boost::asio::any_io_executor>>(
        ex, std::move(connection), std::move(wakes_us), std::move(wakes_peer));
}

boost::asio::local::stream_protocol::endpoint endpoint_of(std::string_view path) {
    std::string name(path);
    if (!name.empty() && name.front() == '@') {
        name.front() = '\0';
    }
    return {name};
}

unique_fd make_event() {
    unique_fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd.get() == -1) {
        throw system_error(errno, boost::system::system_category(),
                           "rung::ipc: no eventfd; raise RLIMIT_NOFILE (ulimit -n)");
    }
    return fd;
}

bool send_setup(int connection, const unique_fd& memory, const unique_fd& to_server,
                const unique_fd& to_client) noexcept {
    message m;
    cmsghdr* const c = CMSG_FIRSTHDR(&m.header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    const std::array<int, descriptors> fds{memory.get(), to_server.get(), to_client.get()};
    std::memcpy(CMSG_DATA(c), fds.data(), sizeof fds);
    return ::sendmsg(connection, &m.header, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

setup receive_setup(int connection) {
    message m;
    ssize_t n = 0;
    do {
        n = ::recvmsg(connection, &m.header, MSG_CMSG_CLOEXEC);
    } while (n == -1 && errno == EINTR);
    if (n == -1) {
        throw system_error(errno == EAGAIN ? ETIMEDOUT : errno, boost::system::system_category(),
                           "rung::ipc::client: the server does not answer");
    }
    if (n == 0) {
        throw system_error(boost::asio::error::connection_refused,
                           "rung::ipc::client: the server has no room, or refuses this user");
    }
    std::array<unique_fd, descriptors> fds;
    std::size_t received = 0;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m.header); c != nullptr; c = CMSG_NXTHDR(&m.header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t bytes_of_fds = c->cmsg_len - CMSG_LEN(0);
        for (std::size_t at = 0; at + sizeof(int) <= bytes_of_fds; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            unique_fd owned(fd);
            if (received < descriptors) {
                fds[received] = std::move(owned);
            }
            ++received;
        }
    }
    if (received != descriptors || (m.header.msg_flags & MSG_CTRUNC) != 0) {
        throw system_error(rung::error::bad_peer, "rung::ipc::client: this is no server of ours");
    }
    return {std::move(fds[0]), std::move(fds[1]), std::move(fds[2])};
}

}  // namespace rung::ipc::detail
