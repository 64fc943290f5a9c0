#pragma once

#include "../support/child_process.hpp"
#include "../support/histogram.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace bench {

/// The clients of `urgent_echo` in one process: bulk connections, each with one message in flight,
/// and one urgent connection on which a ping is sent every so often, whether or not the last one
/// has come back, so that a slow server is not asked less often than a fast one.
class urgent_echo_client {
public:
    /// Connects. `spin`: poll without sleeping, which the clients may do if they have a core of
    /// their own, so that waking up is no part of what is measured. Throws `failure`.
    urgent_echo_client(child_process& server, std::uint16_t urgent_port, std::uint16_t bulk_port,
                       std::size_t bulk_connections, bool spin);
    ~urgent_echo_client();

    urgent_echo_client(const urgent_echo_client&) = delete;
    urgent_echo_client& operator=(const urgent_echo_client&) = delete;

    /// Runs for `warm_up_ns` and `window_ns`, then waits for pings that are still on their way.
    /// Adds to `latencies` those of the pings that were sent in the window. Returns how many bulk
    /// messages came back in the window. Throws `failure`.
    std::uint64_t run(std::uint64_t warm_up_ns, std::uint64_t window_ns, std::uint64_t period_ns,
                      histogram& latencies);

private:
    static constexpr std::size_t message_size = 64;
    using message = std::array<char, message_size>;

    struct bulk_connection {
        int socket = -1;
        std::size_t received = 0;
    };

    void connect(std::uint16_t urgent_port, std::uint16_t bulk_port);
    void close_all() noexcept;
    void watch(int socket, bulk_connection* bulk);
    void ping(std::uint64_t now);
    void take_answers(std::uint64_t first_ns, histogram& latencies);
    bool serve_bulk(bulk_connection& c);
    std::uint64_t poll(std::uint64_t timeout_ns, std::uint64_t first_ns, histogram& latencies);
    void send(int socket, const message& m);
    std::size_t receive(int socket, char* data, std::size_t size);
    [[noreturn]] void fail(const std::string& what);

    child_process& server_;
    bool spin_;
    int epoll_ = -1;
    int urgent_ = -1;
    std::vector<bulk_connection> bulk_;
    std::deque<std::uint64_t> sent_at_ns_;  // of the pings that are on their way
    std::uint64_t next_answer_ = 0;         // number of the ping to be answered next
    std::size_t answer_size_ = 0;           // bytes of it that have come
    message answer_{};
};

}  // namespace bench
