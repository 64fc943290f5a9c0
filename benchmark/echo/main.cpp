// bench_echo: an echo server over loopback TCP, local sockets or UDP, by every system, in one
// interleaved run.
//
// Each sample starts a fresh server process, so that the luck of its memory layout is drawn anew
// each time, and loads it twice: on one core that server and load share, for the processor time a
// message, which is the figure that repeats; and on a core each, for throughput and latency.

#include "../support/child_process.hpp"
#include "../support/failure.hpp"
#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/rounds.hpp"
#include "../support/time.hpp"
#include "load.hpp"
#include "results.hpp"
#include "server.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>

#if __has_include(<rung/rung.hpp>)
#define RUNG_BENCH_HAS_RUNG 1
#else
#define RUNG_BENCH_HAS_RUNG 0
#endif

namespace bench {

namespace {

constexpr std::size_t default_seconds = 80;
constexpr std::size_t quick_seconds = 12;
constexpr int start_timeout_ms = 10'000;
constexpr std::uint64_t least_window_a_connection_ns = 100'000;
constexpr std::size_t most_connections = 20'000;
constexpr std::size_t descriptors_beside_connections = 64;

constexpr role roles[] = {
    {"raw-epoll", serve_raw_epoll},
    {"raw-uring", serve_raw_uring},
    {"raw-uring-multishot", serve_raw_uring_multishot},
    {"asio-epoll-callback", serve_asio_epoll_callback},
    {"asio-epoll-coroutine", serve_asio_epoll_coroutine},
    {"asio-epoll-spawn", serve_asio_epoll_spawn},
    {"asio-epoll-default-callback", serve_asio_epoll_default_callback},
    {"asio-epoll-default-coroutine", serve_asio_epoll_default_coroutine},
#if RUNG_BENCH_HAS_RUNG
    {"rung-callback", serve_rung_callback},
    {"rung-coroutine", serve_rung_coroutine},
    {"rung-fiber", serve_rung_fiber},
#endif
};

const std::vector<system>& known_systems() {
    static const std::string here = "bench_echo";
    static const std::string asio_uring = "bench_echo_asio_uring";
    static const std::vector<system> systems = {
        {"raw-epoll", here, true},
        {"raw-uring", here, true},
        {"raw-uring-multishot", here, false},
        {"asio-epoll-callback", here, true},
        {"asio-epoll-coroutine", here, true},
        {"asio-epoll-spawn", here, RUNG_BENCHMARK_HAS_ASIO_SPAWN == 1},
        {"asio-epoll-default-callback", here, false},
        {"asio-epoll-default-coroutine", here, false},
        {"asio-uring-callback", asio_uring, true},
        {"asio-uring-coroutine", asio_uring, true},
        {"rung-callback", here, RUNG_BENCH_HAS_RUNG == 1},
        {"rung-coroutine", here, RUNG_BENCH_HAS_RUNG == 1},
        {"rung-fiber", here, RUNG_BENCH_HAS_RUNG == 1},
    };
    return systems;
}

struct echo_options {
    run_options run;
    std::vector<std::size_t> connections;
    std::vector<std::size_t> sizes;
    std::string transport_name = "tcp";
    std::size_t window_ms = 50;
};

/// Returns false if there is nothing more to do than the help that was printed.
bool parse(int argc, char** argv, echo_options& options) {
    option_parser parser("bench_echo",
                         "Echo over loopback, one thread: throughput, latency, "
                         "and the server's processor time a message.");
    add_run_options(parser, options.run);
    parser.add_value("--connections", "LIST", "connections (default 1,32,256,1000; quick 1,32)",
                     [&](const std::string& text) {
                         options.connections =
                             parse_numbers("--connections", text, 1, most_connections);
                     });
    parser.add_value("--transport", "NAME", "tcp, local or udp (default tcp)",
                     [&](const std::string& text) {
                         parse_transport(text);
                         options.transport_name = text;
                     });
    parser.add_value("--size", "LIST", "bytes a message (default 64,4096; quick 64)",
                     [&](const std::string& text) {
                         options.sizes =
                             parse_numbers("--size", text, 1, echo_load::max_message_size);
                     });
    parser.add_value("--window", "MS", "least length of a measured window (default 50)",
                     [&](const std::string& text) {
                         options.window_ms = parse_number("--window", text, 5, 60'000);
                     });
    if (!parser.parse(argc, argv)) {
        return false;
    }
    const bool quick = options.run.quick;
    if (options.connections.empty()) {
        options.connections =
            quick ? std::vector<std::size_t>{1, 32} : std::vector<std::size_t>{1, 32, 256, 1000};
    }
    if (options.sizes.empty()) {
        options.sizes = quick ? std::vector<std::size_t>{64} : std::vector<std::size_t>{64, 4096};
    }
    return true;
}

echo_sample take_sample(const system& system, const std::string& transport_name,
                        const echo_case& shape, const core_pair& cores, std::size_t window_ms) {
    child_process server(program_beside(system.program), system.name, {transport_name},
                         cores.server);
    const std::vector<std::string> ports = server.expect("ready", start_timeout_ms);
    const std::size_t port = parse_number("port", ports.empty() ? "" : ports[0], 1, 65535);
    try {
        // Many connections make long round trips: every one needs several in a window.
        const std::uint64_t window_ns =
            std::max(window_ms * ns_per_ms, shape.connections * least_window_a_connection_ns);
        const std::uint64_t warm_up_ns = window_ns / 5;
        echo_sample sample;
        histogram latencies;

        pin_process(0, cores.server);
        echo_load load(server, parse_transport(transport_name), static_cast<std::uint16_t>(port),
                       shape.connections, shape.size);
        const load_window shared = load.run(warm_up_ns, window_ns, latencies);
        sample.cpu_ns_per_message =
            static_cast<double>(shared.server_cpu_ns) / static_cast<double>(shared.messages);

        latencies.reset();
        pin_process(0, cores.load);
        const load_window apart = load.run(warm_up_ns, window_ns, latencies);
        sample.messages_per_s =
            static_cast<double>(apart.messages) * 1e9 / static_cast<double>(apart.elapsed_ns);
        sample.p50_us = static_cast<double>(latencies.quantile(0.5)) * 1e-3;
        sample.p99_us = static_cast<double>(latencies.quantile(0.99)) * 1e-3;
        sample.p999_us = static_cast<double>(latencies.quantile(0.999)) * 1e-3;
        return sample;
    } catch (const failure& e) {
        throw failure(system.name + ", " + std::to_string(shape.connections) + " connections, " +
                      std::to_string(shape.size) + " B: " + e.what());
    }
}

std::vector<echo_case> make_cases(const echo_options& options, const std::vector<system>& systems) {
    std::vector<echo_case> cases;
    for (const std::size_t size : options.sizes) {
        for (const std::size_t connections : options.connections) {
            echo_case c{connections, size, {}};
            for (const system& s : systems) {
                c.series.push_back({s.name, {}});
            }
            cases.push_back(std::move(c));
        }
    }
    return cases;
}

std::vector<echo_case> measure(const echo_options& options, std::vector<system> systems,
                               const core_pair& cores) {
    std::vector<echo_case> cases = make_cases(options, systems);
    round_schedule schedule(options.run, options.run.quick ? quick_seconds : default_seconds,
                            cases.size() * systems.size());
    std::vector<std::size_t> case_order(cases.size());
    std::iota(case_order.begin(), case_order.end(), 0u);
    std::vector<std::size_t> system_order(systems.size());
    std::iota(system_order.begin(), system_order.end(), 0u);
    while (schedule.next()) {
        schedule.shuffle(case_order);
        for (const std::size_t c : case_order) {
            schedule.shuffle(system_order);
            for (const std::size_t s : system_order) {
                schedule.sampling(systems[s].name + ", " + std::to_string(cases[c].connections) +
                                  " connections, " + std::to_string(cases[c].size) + " B");
                cases[c].series[s].rounds.push_back(
                    take_sample(systems[s], options.transport_name, cases[c], cores,
                                options.window_ms));
            }
        }
    }
    return cases;
}

int run(int argc, char** argv) {
    echo_options options;
    if (!parse(argc, argv, options)) {
        return EXIT_SUCCESS;
    }
    const core_pair cores = choose_cores(options.run.cores);
    if (options.run.realtime) {
        run_in_real_time();
    }
    need_descriptors(*std::max_element(options.connections.begin(), options.connections.end()) +
                     descriptors_beside_connections);
    json_file json(options.run.json_path);

    std::cout << "bench_echo over " << options.transport_name << ": " << describe_machine() << "\n"
              << "closed loop, one message in flight a connection; medians over rounds, ratios "
                 "within rounds\n";
    if (cores.apart()) {
        std::cout << "CPU a message: server and load on core " << cores.server
                  << "; the rest: server on core " << cores.server << ", load on core "
                  << cores.load << "\n";
    } else {
        std::cout << "only one core may be used: server and load share it throughout\n";
    }
    const std::vector<system> systems = usable_systems(
        choose_systems(known_systems(), options.run), options.run, [&](const system& s) {
            take_sample(s, options.transport_name, echo_case{1, 64, {}}, cores, 5);
        });
    const disturbance others(cores);
    std::vector<json_row> rows;
    const std::vector<echo_case> results = measure(options, systems, cores);
    for (const echo_case& c : results) {
        std::cout << "\n" << echo_table(c);
        append_echo_rows(c, rows);
    }
    std::cout << "\n" << others.report() << "\n";
    json.write(rows);
    return EXIT_SUCCESS;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::run_benchmark("bench_echo", argc, argv, bench::roles, bench::run);
}
