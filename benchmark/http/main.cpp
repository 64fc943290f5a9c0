// bench_http: Beast's HTTP server on stock Asio and on rung, in one interleaved run under wrk.
//
// The steps of doc/migration.md: asio-default is a program that names no executors, rung-context is
// the same with another context type, rung-callback has native objects.

#include "../support/child_process.hpp"
#include "../support/failure.hpp"
#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/rounds.hpp"
#include "../support/time.hpp"
#include "results.hpp"
#include "server.hpp"
#include "wrk.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>

namespace bench {

namespace {

constexpr std::size_t default_seconds = 55;
constexpr std::size_t quick_seconds = 15;
constexpr int start_timeout_ms = 10'000;
constexpr std::size_t window_s = 1;  // the shortest that wrk knows
constexpr int skipped = 77;          // to CTest

constexpr role roles[] = {
    {"asio-default", serve_asio_default},     {"asio-callback", serve_asio_callback},
    {"asio-coroutine", serve_asio_coroutine}, {"rung-context", serve_rung_context},
    {"rung-callback", serve_rung_callback},   {"rung-coroutine", serve_rung_coroutine},
};

std::vector<system> known_systems() {
    std::vector<system> systems;
    for (const role& r : roles) {
        systems.push_back({std::string(r.name), "bench_http", true});
    }
    return systems;
}

struct http_options {
    run_options run;
    std::vector<std::size_t> connections{1, 64};
};

/// Returns false if there is nothing more to do than the help that was printed.
bool parse(int argc, char** argv, http_options& options) {
    option_parser parser("bench_http",
                         "Beast's HTTP server, one thread, under wrk: requests a second, and the "
                         "server's processor time a request.");
    add_run_options(parser, options.run);
    parser.add_value("--connections", "LIST", "connections (default 1,64)",
                     [&](const std::string& text) {
                         options.connections = parse_numbers("--connections", text, 1, 10'000);
                     });
    return parser.parse(argc, argv);
}

http_sample take_sample(const system& system, std::size_t connections, const core_pair& cores) {
    child_process server(program_beside(system.program), system.name, {}, cores.server);
    const std::vector<std::string> ports = server.expect("ready", start_timeout_ms);
    const std::size_t port = parse_number("port", ports.empty() ? "" : ports[0], 1, 65535);
    pin_process(0, cores.load);  // wrk is started from here
    const std::uint64_t before_ns = server.cpu_time_ns();
    const wrk_result result = run_wrk(static_cast<std::uint16_t>(port), connections, window_s);
    const std::uint64_t spent_ns = server.cpu_time_ns() - before_ns;
    return {.requests_per_s = result.requests_per_s,
            .cpu_us_per_request = static_cast<double>(spent_ns) * 1e-3 / result.requests,
            .p50_us = result.p50_us,
            .p99_us = result.p99_us};
}

std::vector<http_case> measure(const http_options& options, const std::vector<system>& systems,
                               const core_pair& cores) {
    std::vector<http_case> cases;
    for (const std::size_t connections : options.connections) {
        cases.push_back({connections, {}});
        for (const system& s : systems) {
            cases.back().series.push_back({s.name, {}});
        }
    }
    round_schedule schedule(options.run, options.run.quick ? quick_seconds : default_seconds,
                            cases.size() * systems.size());
    std::vector<std::size_t> order(systems.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    while (schedule.next()) {
        for (http_case& c : cases) {
            schedule.shuffle(order);
            for (const std::size_t s : order) {
                schedule.sampling(systems[s].name + ", " + std::to_string(c.connections) +
                                  " connections");
                c.series[s].rounds.push_back(take_sample(systems[s], c.connections, cores));
            }
        }
    }
    return cases;
}

int run(int argc, char** argv) {
    http_options options;
    if (!parse(argc, argv, options)) {
        return EXIT_SUCCESS;
    }
    if (!has_wrk()) {
        std::cout << "SKIP: wrk is not installed (Debian's package wrk)\n";
        return skipped;
    }
    const core_pair cores = choose_cores(options.run.cores);
    if (options.run.realtime) {
        run_in_real_time();
    }
    need_descriptors(*std::max_element(options.connections.begin(), options.connections.end()) +
                     64);
    json_file json(options.run.json_path);
    std::cout << "bench_http: " << describe_machine() << "\n"
              << "server on core " << cores.server << ", wrk on core " << cores.load
              << "; medians over rounds, ratios to " << http_baseline << " within rounds\n";
    const std::vector<system> systems = choose_systems(known_systems(), options.run);
    const disturbance others(cores);
    std::vector<json_row> rows;
    for (const http_case& c : measure(options, systems, cores)) {
        std::cout << "\n" << http_table(c);
        append_http_rows(c, rows);
    }
    std::cout << "\n" << others.report() << "\n";
    json.write(rows);
    return EXIT_SUCCESS;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::run_benchmark("bench_http", argc, argv, bench::roles, bench::run);
}
