#pragma once

#include "../support/child_process.hpp"
#include "../support/histogram.hpp"
#include "../support/loopback.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// What a window of load showed.
struct load_window {
    std::uint64_t messages = 0;
    std::uint64_t elapsed_ns = 0;
    std::uint64_t server_cpu_ns = 0;
};

/// A closed-loop load on an echo server: every connection has one message in flight, and sends the
/// next as soon as the last has come back.
///
/// As lean as can be, so that the server is what is measured: one connection is served by blocking
/// calls, more of them by epoll. Destruction closes all connections by reset.
class echo_load {
public:
    /// Connects, and checks on each connection that what comes back is what was sent. Throws
    /// `failure`. Preconditions: connections > 0; 0 < message_size <= max_message_size.
    echo_load(child_process& server, transport t, std::uint16_t port, std::size_t connections,
              std::size_t message_size);
    ~echo_load();

    echo_load(const echo_load&) = delete;
    echo_load& operator=(const echo_load&) = delete;

    /// Loads the server for `warm_up_ns`, then measures for `window_ns`, then lets every message
    /// in flight come home. Latencies are added to `latencies`, in nanoseconds. Throws `failure`.
    load_window run(std::uint64_t warm_up_ns, std::uint64_t window_ns, histogram& latencies);

    /// Small enough for the kernel to hold one message a connection, so that a blocking send never
    /// waits for a server that waits for us.
    static constexpr std::size_t max_message_size = 64 * 1024;

private:
    struct connection {
        int socket = -1;
        std::size_t received = 0;
        std::uint64_t sent_at_ns = 0;
    };

    /// Where the run stands: `measuring` between the warm-up and the end of the window.
    struct progress {
        std::uint64_t warm_end_ns;
        std::uint64_t window_ns;
        std::uint64_t start_ns = 0;
        std::uint64_t start_cpu_ns = 0;
        bool measuring = false;
        bool done = false;
        load_window result;
    };

    void connect(transport t, std::uint16_t port);
    void check(connection& c, unsigned char salt);
    void close_all() noexcept;
    void run_one(progress& p, histogram& latencies);
    void run_many(progress& p, histogram& latencies);
    void send(connection& c, std::uint64_t now);
    bool receive(connection& c, int flags);
    void count(progress& p, std::uint64_t sent_at, std::uint64_t now, histogram& latencies);
    [[noreturn]] void fail(const std::string& what);

    child_process& server_;
    std::size_t message_size_;
    std::vector<char> message_;
    std::vector<char> answer_;
    std::vector<connection> connections_;
    int epoll_ = -1;
};

}  // namespace bench
