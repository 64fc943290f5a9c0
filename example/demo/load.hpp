#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "connection.hpp"
#include "protocol.hpp"

namespace demo {

using clock = std::chrono::steady_clock;

/// Sends a short line, waits for its answer, notes how long that took, pauses for a random time of
/// some 300 microseconds, and begins again.
class urgent_client {
public:
    explicit urgent_client(std::uint16_t port) : connection_(port) {}

    /// Sends, if it is time and not `until` yet, or takes the answer, if it has come.
    void attend(clock::time_point until);
    bool done() const noexcept { return !waiting_; }
    /// Microseconds that each answer to a request sent at `from` or later took, since the last
    /// call.
    void take_latencies(clock::time_point from, std::vector<double>& into);

private:
    struct answered {
        clock::time_point sent_at;
        clock::duration took;
    };

    connection connection_;
    bool waiting_ = false;
    clock::time_point sent_at_;
    clock::time_point due_;
    std::uint64_t number_ = 0;
    std::string received_;
    std::vector<answered> answered_;
    std::mt19937 random_{1};
};

/// Clients each of which sends its next request as soon as the last one is answered.
class bulk_clients {
public:
    bulk_clients(std::uint16_t port, std::size_t number);
    bulk_clients(const bulk_clients&) = delete;
    bulk_clients& operator=(const bulk_clients&) = delete;
    ~bulk_clients();

    void start();
    /// Takes the answers that have come, calling `between` after each, and sends the next request
    /// of those clients while `again`. Gives the number of whole answers.
    template <class Function>
    std::size_t attend(bool again, Function between) {
        const std::size_t n = wait();
        std::size_t answers = 0;
        for (std::size_t i = 0; i < n; ++i) {
            answers += attend_client(ready_[i], again) ? 1 : 0;
            between();
        }
        return answers;
    }
    bool done() const noexcept { return unanswered_ == 0; }

private:
    struct client {
        connection to_server;
        std::size_t received = 0;
    };

    std::size_t wait();
    bool attend_client(client* c, bool again);

    std::vector<client> clients_;
    std::vector<client*> ready_;
    std::size_t unanswered_ = 0;
    std::string request_;
    std::string answer_;
    int epoll_;
};

}  // namespace demo
