#include "client.hpp"

#include "../support/failure.hpp"
#include "../support/loopback.hpp"
#include "../support/time.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace bench {

namespace {

/// A ping that is not answered for so long is not going to be.
constexpr std::uint64_t patience_ns = 10'000 * ns_per_ms;

}  // namespace

urgent_echo_client::urgent_echo_client(child_process& server, std::uint16_t urgent_port,
                                       std::uint16_t bulk_port, std::size_t bulk_connections,
                                       bool spin)
    : server_(server), spin_(spin), bulk_(bulk_connections) {
    try {
        connect(urgent_port, bulk_port);
    } catch (...) {
        close_all();
        throw;
    }
}

urgent_echo_client::~urgent_echo_client() { close_all(); }

void urgent_echo_client::connect(std::uint16_t urgent_port, std::uint16_t bulk_port) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    urgent_ = connect_to_loopback(urgent_port);
    watch(urgent_, nullptr);
    for (bulk_connection& c : bulk_) {
        c.socket = connect_to_loopback(bulk_port);
        watch(c.socket, &c);
    }
}

void urgent_echo_client::close_all() noexcept {
    for (const bulk_connection& c : bulk_) {
        if (c.socket >= 0) {
            ::close(c.socket);
        }
    }
    if (urgent_ >= 0) {
        ::close(urgent_);
    }
    if (epoll_ >= 0) {
        ::close(epoll_);
    }
}

void urgent_echo_client::watch(int socket, bulk_connection* bulk) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = bulk;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) {
        fail_errno("epoll_ctl");
    }
}

std::uint64_t urgent_echo_client::run(std::uint64_t warm_up_ns, std::uint64_t window_ns,
                                      std::uint64_t period_ns, histogram& latencies) {
    for (const bulk_connection& c : bulk_) {
        send(c.socket, {});
    }
    std::uint64_t due_ns = now_ns();
    const std::uint64_t first_ns = due_ns + warm_up_ns;
    const std::uint64_t end_ns = first_ns + window_ns;
    std::uint64_t bulk_messages = 0;
    for (std::uint64_t now = now_ns(); now < end_ns || !sent_at_ns_.empty(); now = now_ns()) {
        if (now >= due_ns && now < end_ns) {
            ping(now);
            due_ns += period_ns;
        }
        if (now > end_ns + patience_ns) {
            fail("left pings unanswered");
        }
        const std::uint64_t left_ns = due_ns > now ? due_ns - now : 0;
        const std::uint64_t came = poll(now < end_ns ? left_ns : period_ns, first_ns, latencies);
        bulk_messages += now >= first_ns && now < end_ns ? came : 0;
    }
    return bulk_messages;
}

/// Serves what is ready, the urgent connection first; returns how many bulk messages came back.
std::uint64_t urgent_echo_client::poll(std::uint64_t timeout_ns, std::uint64_t first_ns,
                                       histogram& latencies) {
    std::array<epoll_event, 64> events;
    const timespec timeout{0, spin_ ? 0 : static_cast<long>(timeout_ns)};
    const int n =
        ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    const auto end = events.begin() + std::max(n, 0);
    const auto is_urgent = [](const epoll_event& e) { return e.data.ptr == nullptr; };
    if (std::any_of(events.begin(), end, is_urgent)) {
        take_answers(first_ns, latencies);
    }
    std::uint64_t bulk_messages = 0;
    for (auto e = events.begin(); e != end; ++e) {
        if (!is_urgent(*e) && serve_bulk(*static_cast<bulk_connection*>(e->data.ptr))) {
            ++bulk_messages;
        }
    }
    return bulk_messages;
}

void urgent_echo_client::ping(std::uint64_t now) {
    message m{};
    const std::uint64_t number = next_answer_ + sent_at_ns_.size();
    std::memcpy(m.data(), &number, sizeof number);
    sent_at_ns_.push_back(now);
    send(urgent_, m);
}

void urgent_echo_client::take_answers(std::uint64_t first_ns, histogram& latencies) {
    std::array<char, 64 * message_size> data;
    const std::size_t size = receive(urgent_, data.data(), data.size());
    const std::uint64_t now = now_ns();
    for (std::size_t taken = 0; taken < size;) {
        const std::size_t n = std::min(message_size - answer_size_, size - taken);
        std::memcpy(answer_.data() + answer_size_, data.data() + taken, n);
        taken += n;
        answer_size_ += n;
        if (answer_size_ < message_size) {
            return;
        }
        answer_size_ = 0;
        std::uint64_t number = 0;
        std::memcpy(&number, answer_.data(), sizeof number);
        if (sent_at_ns_.empty() || number != next_answer_) {
            fail("did not echo the pings that it was sent");
        }
        ++next_answer_;
        if (sent_at_ns_.front() >= first_ns) {
            latencies.record(now - sent_at_ns_.front());
        }
        sent_at_ns_.pop_front();
    }
}

/// True if that completed a message; the next one is then on its way.
bool urgent_echo_client::serve_bulk(bulk_connection& c) {
    message m;
    c.received += receive(c.socket, m.data(), message_size - c.received);
    if (c.received < message_size) {
        return false;
    }
    c.received = 0;
    send(c.socket, m);
    return true;
}

void urgent_echo_client::send(int socket, const message& m) {
    const ssize_t n = ::send(socket, m.data(), m.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n != static_cast<ssize_t>(m.size())) {
        fail(std::string("did not take a message: ") + std::strerror(errno));
    }
}

std::size_t urgent_echo_client::receive(int socket, char* data, std::size_t size) {
    const ssize_t n = ::recv(socket, data, size, MSG_DONTWAIT);
    if (n == 0) {
        fail("closed a connection");
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail(std::string("broke a connection: ") + std::strerror(errno));
    }
    return n < 0 ? 0 : static_cast<std::size_t>(n);
}

void urgent_echo_client::fail(const std::string& what) {
    throw failure("the server " + what + server_.obituary());
}

}  // namespace bench
