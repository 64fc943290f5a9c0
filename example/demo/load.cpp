#include "load.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace demo {

namespace {

constexpr std::size_t request_size = 4'000;
constexpr int shortest_pause_us = 100;
constexpr int longest_pause_us = 500;

}  // namespace

void urgent_client::attend(clock::time_point until) {
    const auto now = clock::now();
    if (!waiting_) {
        if (now >= due_ && now < until) {
            connection_.send("ping " + std::to_string(++number_) + "\n");
            sent_at_ = now;
            waiting_ = true;
        }
        return;
    }
    std::array<char, 256> data;
    received_.append(data.data(), connection_.receive(data.data(), data.size()));
    if (!received_.ends_with('\n')) {
        return;
    }
    if (!received_.starts_with("ping " + std::to_string(number_) + ":")) {
        throw std::runtime_error("the server answered an urgent request with " + received_);
    }
    answered_.push_back({sent_at_, clock::now() - sent_at_});
    received_.clear();
    waiting_ = false;
    std::uniform_int_distribution pause(shortest_pause_us, longest_pause_us);
    due_ = now + std::chrono::microseconds(pause(random_));
}

void urgent_client::take_latencies(clock::time_point from, std::vector<double>& into) {
    for (const answered& a : answered_) {
        if (a.sent_at >= from) {
            into.push_back(std::chrono::duration<double, std::micro>(a.took).count());
        }
    }
    answered_.clear();
}

bulk_clients::bulk_clients(std::uint16_t port, std::size_t number)
    : request_(request_size - 1, 'x'),
      answer_(bulk_answer(request_)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    request_ += '\n';
    clients_.reserve(number);
    ready_.resize(number);
    for (std::size_t i = 0; i < number; ++i) {
        clients_.push_back({connection(port)});
        epoll_event e{};
        e.events = EPOLLIN;
        e.data.ptr = &clients_.back();
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_.back().to_server.descriptor(), &e) != 0) {
            throw std::system_error(errno, std::system_category(), "epoll_ctl");
        }
    }
}

bulk_clients::~bulk_clients() { ::close(epoll_); }

void bulk_clients::start() {
    for (client& c : clients_) {
        c.to_server.send(request_);
    }
    unanswered_ = clients_.size();
}

std::size_t bulk_clients::wait() {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
    const auto count = static_cast<std::size_t>(n < 0 ? 0 : n);
    for (std::size_t i = 0; i < count; ++i) {
        ready_[i] = static_cast<client*>(events[i].data.ptr);
    }
    return count;
}

bool bulk_clients::attend_client(client* c, bool again) {
    std::array<char, 64> data;
    const std::size_t n = c->to_server.receive(data.data(), answer_.size() - c->received);
    if (answer_.compare(c->received, n, data.data(), n) != 0) {
        throw std::runtime_error("the server answered a bulk request with a wrong checksum");
    }
    c->received = (c->received + n) % answer_.size();
    if (n == 0 || c->received != 0) {
        return false;
    }
    --unanswered_;
    if (again) {
        c->to_server.send(request_);
        ++unanswered_;
    }
    return true;
}

}  // namespace demo
