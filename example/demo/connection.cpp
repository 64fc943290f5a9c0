#include "connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace demo {

namespace {

[[noreturn]] void fail(const char* what) {
    throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

connection::connection(std::uint16_t port)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (socket_ == -1) {
        fail("no socket for a client");
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        ::close(socket_);
        errno = error;
        fail("connecting failed");
    }
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

connection::~connection() {
    if (socket_ != -1) {
        ::close(socket_);
    }
}

void connection::send(std::string_view text) const {
    const ssize_t n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n != static_cast<ssize_t>(text.size())) {
        fail("the server does not take a request");
    }
}

std::size_t connection::receive(char* data, std::size_t size) const {
    const ssize_t n = ::recv(socket_, data, size, MSG_DONTWAIT);
    if (n == 0) {
        throw std::runtime_error("the server closed a connection");
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail("a connection broke");
    }
    return n < 0 ? 0 : static_cast<std::size_t>(n);
}

}  // namespace demo
