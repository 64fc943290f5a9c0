#include "load.hpp"

#include "../support/failure.hpp"
#include "../support/time.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace bench {

namespace {

/// A server that says nothing for so long has failed.
constexpr int patience_s = 5;

}  // namespace

echo_load::echo_load(child_process& server, transport t, std::uint16_t port,
                     std::size_t connections, std::size_t message_size)
    : server_(server),
      message_size_(message_size),
      message_(message_size),
      answer_(message_size),
      connections_(connections) {
    try {
        connect(t, port);
    } catch (...) {
        close_all();
        throw;
    }
}

echo_load::~echo_load() { close_all(); }

void echo_load::connect(transport t, std::uint16_t port) {
    if (connections_.size() > 1) {
        epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ < 0) {
            fail_errno("cannot make an epoll instance");
        }
    }
    // In batches, each checked before the next, so that the server's backlog never overflows.
    constexpr std::size_t batch = 256;
    for (std::size_t first = 0; first < connections_.size(); first += batch) {
        const std::size_t last = std::min(first + batch, connections_.size());
        for (std::size_t i = first; i < last; ++i) {
            connection& c = connections_[i];
            c.socket = connect_to_loopback(port, t);
            const timeval patience{patience_s, 0};
            ::setsockopt(c.socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            ::setsockopt(c.socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        }
        for (std::size_t i = first; i < last; ++i) {
            check(connections_[i], static_cast<unsigned char>(i));
        }
    }
    for (connection& c : connections_) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &c;
        if (epoll_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, c.socket, &event) != 0) {
            fail_errno("epoll_ctl");
        }
    }
}

void echo_load::check(connection& c, unsigned char salt) {
    for (std::size_t i = 0; i < message_size_; ++i) {
        message_[i] = static_cast<char>(i * 31 + salt);
    }
    send(c, 0);
    while (!receive(c, 0)) {
    }
    if (std::memcmp(message_.data(), answer_.data(), message_size_) != 0) {
        fail("did not echo what it was sent");
    }
}

void echo_load::close_all() noexcept {
    for (connection& c : connections_) {
        if (c.socket >= 0) {
            ::close(c.socket);
        }
    }
    if (epoll_ >= 0) {
        ::close(epoll_);
    }
}

load_window echo_load::run(std::uint64_t warm_up_ns, std::uint64_t window_ns,
                           histogram& latencies) {
    progress p{};
    p.warm_end_ns = now_ns() + warm_up_ns;
    p.window_ns = window_ns;
    if (connections_.size() == 1) {
        run_one(p, latencies);
    } else {
        run_many(p, latencies);
    }
    return p.result;
}

void echo_load::run_one(progress& p, histogram& latencies) {
    connection& c = connections_.front();
    std::uint64_t now = now_ns();
    while (!p.done) {
        send(c, now);
        while (!receive(c, 0)) {
        }
        now = now_ns();
        count(p, c.sent_at_ns, now, latencies);
    }
}

void echo_load::run_many(progress& p, histogram& latencies) {
    std::size_t in_flight = connections_.size();
    for (connection& c : connections_) {
        send(c, now_ns());
    }
    std::array<epoll_event, 512> events;
    while (in_flight > 0) {
        const int n =
            ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), patience_s * 1000);
        if (n == 0) {
            fail("did not answer for " + std::to_string(patience_s) + " s");
        }
        for (int i = 0; i < n; ++i) {
            auto& c = *static_cast<connection*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (!receive(c, MSG_DONTWAIT)) {
                continue;
            }
            const std::uint64_t now = now_ns();
            count(p, c.sent_at_ns, now, latencies);
            if (p.done) {
                --in_flight;
            } else {
                send(c, now);
            }
        }
    }
}

void echo_load::send(connection& c, std::uint64_t now) {
    c.sent_at_ns = now;
    c.received = 0;
    const ssize_t n = ::send(c.socket, message_.data(), message_size_, MSG_NOSIGNAL);
    if (n != static_cast<ssize_t>(message_size_)) {
        fail(std::string("did not take a message: ") + std::strerror(errno));
    }
}

/// Takes what has come; true if that completes the message.
bool echo_load::receive(connection& c, int flags) {
    const ssize_t n =
        ::recv(c.socket, answer_.data() + c.received, message_size_ - c.received, flags);
    if (n > 0) {
        c.received += static_cast<std::size_t>(n);
        return c.received == message_size_;
    }
    if (n == 0) {
        fail("closed a connection");
    }
    if (errno == EINTR || (errno == EAGAIN && flags != 0)) {
        return false;
    }
    fail(errno == EAGAIN ? "did not answer for " + std::to_string(patience_s) + " s"
                         : std::string("broke a connection: ") + std::strerror(errno));
}

/// Counts a message that came home at `now` and moves the run on when its time has come.
void echo_load::count(progress& p, std::uint64_t sent_at, std::uint64_t now, histogram& latencies) {
    if (p.measuring) {
        ++p.result.messages;
        latencies.record(now - sent_at);
        if (now - p.start_ns >= p.window_ns) {
            p.result.elapsed_ns = now - p.start_ns;
            p.result.server_cpu_ns = server_.cpu_time_ns() - p.start_cpu_ns;
            p.measuring = false;
            p.done = true;
        }
    } else if (!p.done && now >= p.warm_end_ns) {
        p.measuring = true;
        p.start_cpu_ns = server_.cpu_time_ns();
        p.start_ns = now_ns();
    }
}

void echo_load::fail(const std::string& what) {
    throw failure("the server " + what + server_.obituary());
}

}  // namespace bench
