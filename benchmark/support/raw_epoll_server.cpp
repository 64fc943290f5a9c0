#include "raw_epoll_server.hpp"

#include "failure.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>

namespace bench {

struct raw_epoll_server::connection {
    int socket;
    std::size_t begin = 0;  // [begin, end) is still to be sent
    std::size_t end = 0;
    std::array<char, echo_buffer_size> data;
};

raw_epoll_server::raw_epoll_server(transport t)
    : transport_(t),
      listener_(listen_on_loopback(true, t)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    watch(EPOLL_CTL_ADD, listener_.descriptor, EPOLLIN, nullptr);
}

void raw_epoll_server::poll(int timeout_ms) {
    std::array<epoll_event, 512> events;
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < n; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
            transport_ == transport::udp ? serve_datagrams() : accept_all();
        } else {
            serve(static_cast<connection*>(event.data.ptr));
        }
    }
}

void raw_epoll_server::watch(int operation, int descriptor, std::uint32_t events, connection* c) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = c;
    if (::epoll_ctl(epoll_, operation, descriptor, &event) != 0) {
        fail_errno("epoll_ctl");
    }
}

void raw_epoll_server::accept_all() {
    for (;;) {
        const int socket =
            ::accept4(listener_.descriptor, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) {
                return;
            }
            fail_errno("accept");
        }
        if (transport_ == transport::tcp) {
            set_no_delay(socket);
        }
        watch(EPOLL_CTL_ADD, socket, EPOLLIN, new connection{socket, 0, 0, {}});
    }
}

/// Answers what is there, one system call a datagram each way.
void raw_epoll_server::serve_datagrams() {
    std::array<char, echo_buffer_size> data;
    for (;;) {
        sockaddr_storage client;
        socklen_t size = sizeof client;
        auto* const address = reinterpret_cast<sockaddr*>(&client);
        const ssize_t n =
            ::recvfrom(listener_.descriptor, data.data(), data.size(), 0, address, &size);
        if (n < 0) {
            return;
        }
        ::sendto(listener_.descriptor, data.data(), static_cast<std::size_t>(n), 0, address, size);
    }
}

void raw_epoll_server::serve(connection* c) {
    const bool was_blocked = c->begin != c->end;
    if (!was_blocked) {
        const ssize_t n = ::recv(c->socket, c->data.data(), c->data.size(), 0);
        if (n <= 0) {
            if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                close(c);
            }
            return;
        }
        c->begin = 0;
        c->end = static_cast<std::size_t>(n);
    }
    const ssize_t n = ::send(c->socket, c->data.data() + c->begin, c->end - c->begin, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        close(c);
        return;
    }
    c->begin += n > 0 ? static_cast<std::size_t>(n) : 0;
    const bool is_blocked = c->begin != c->end;
    if (is_blocked != was_blocked) {
        watch(EPOLL_CTL_MOD, c->socket, is_blocked ? EPOLLOUT : EPOLLIN, c);
    }
}

void raw_epoll_server::close(connection* c) {
    ::close(c->socket);
    delete c;
}

}  // namespace bench
