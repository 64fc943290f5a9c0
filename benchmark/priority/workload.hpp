#pragma once

#include "../support/role.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// How urgent a piece of work is. Systems without priorities treat all alike.
enum class level : unsigned { high, normal, low };

/// What a server process is asked to do; the same for every system.
struct priority_workload {
    bool echo = false;              // urgent_echo, or else urgent_handler
    std::size_t queued = 2000;      // flood handlers in the queue, half of them normal, half low
    std::uint64_t handler_us = 5;   // how long each of them computes
    std::uint64_t period_us = 200;  // from one urgent event to the next
    std::uint64_t window_ms = 0;
    int load_core = 0;  // where urgent handlers are posted from

    /// What starts caches, connections and queues up, before the window.
    static constexpr std::uint64_t warm_up_ms = 50;

    std::vector<std::string> to_arguments() const;
    static priority_workload from_arguments(const std::vector<std::string>& args);
};

// The systems. In `urgent_handler` each floods its loop, has another thread post urgent handlers,
// and reports "result" with latencies and the flood's speed. In `urgent_echo` each floods its loop
// and serves the two ports that it reports, urgent connections and bulk ones, until it is killed.

void serve_raw_epoll_priority(control_link& link, const std::vector<std::string>& args);
void serve_asio_epoll_priority(control_link& link, const std::vector<std::string>& args);
void serve_asio_queue_priority(control_link& link, const std::vector<std::string>& args);
void serve_rung_priority(control_link& link, const std::vector<std::string>& args);

}  // namespace bench
