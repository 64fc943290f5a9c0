// bench_priority: how long urgent work waits while normal and low work floods the loop.
//
// Each sample starts a fresh server process. In `urgent_handler` one of its threads posts urgent
// handlers to the other; in `urgent_echo` this program sends pings from a core of its own.

#include "../support/child_process.hpp"
#include "../support/failure.hpp"
#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/rounds.hpp"
#include "../support/time.hpp"
#include "client.hpp"
#include "results.hpp"
#include "workload.hpp"

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

constexpr std::size_t default_seconds = 45;
constexpr std::size_t quick_seconds = 10;
constexpr int answer_timeout_ms = 15'000;

constexpr role roles[] = {
    {"raw-epoll", serve_raw_epoll_priority},
    {"asio-epoll", serve_asio_epoll_priority},
    {"asio-epoll-queue", serve_asio_queue_priority},
#if RUNG_BENCH_HAS_RUNG
    {"rung", serve_rung_priority},
#endif
};

const std::vector<system>& known_systems() {
    static const std::vector<system> systems = {
        {"raw-epoll", "bench_priority", true},
        {"asio-epoll", "bench_priority", true},
        {"asio-epoll-queue", "bench_priority", true},
        {"asio-uring", "bench_priority_asio_uring", true},
        {"rung", "bench_priority", RUNG_BENCH_HAS_RUNG == 1},
    };
    return systems;
}

struct priority_options {
    run_options run;
    priority_workload workload;
    std::vector<std::string> workloads{"urgent_handler", "urgent_echo"};
    std::size_t bulk_connections = 16;
};

/// Returns false if there is nothing more to do than the help that was printed.
bool parse(int argc, char** argv, priority_options& options) {
    option_parser parser("bench_priority",
                         "How long urgent handlers and urgent echoes wait while "
                         "normal and low work floods the loop.");
    add_run_options(parser, options.run);
    const auto number = [&](const char* name, const char* unit, const char* help, std::size_t least,
                            std::size_t most, auto store) {
        parser.add_value(name, unit, help, [=](const std::string& text) {
            store(parse_number(name, text, least, most));
        });
    };
    priority_workload& w = options.workload;
    parser.add_value(
        "--workloads", "LIST", "urgent_handler,urgent_echo (default both)",
        [&](const std::string& text) { options.workloads = split_list("--workloads", text); });
    number("--queued", "N", "flood handlers in the queue (default 2000)", 1, 100'000,
           [&w](std::size_t n) { w.queued = n; });
    number("--handler", "US", "computing time of each of them (default 5)", 0, 1'000,
           [&w](std::size_t n) { w.handler_us = n; });
    number("--period", "US", "from one urgent event to the next (default 200)", 20, 100'000,
           [&w](std::size_t n) { w.period_us = n; });
    number("--window", "MS", "length of a measured window (default 250; quick 100)", 10, 60'000,
           [&w](std::size_t n) { w.window_ms = n; });
    number("--bulk", "N", "bulk connections of urgent_echo (default 16)", 0, 1'000,
           [&options](std::size_t n) { options.bulk_connections = n; });
    if (!parser.parse(argc, argv)) {
        return false;
    }
    if (w.window_ms == 0) {
        w.window_ms = options.run.quick ? 100 : 250;
    }
    for (const std::string& name : options.workloads) {
        if (name != "urgent_handler" && name != "urgent_echo") {
            throw failure("--workloads: there is no '" + name +
                          "'; there are: urgent_handler urgent_echo");
        }
    }
    return true;
}

double us(double ns) { return ns * 1e-3; }

priority_sample sample_handlers(child_process& server, const priority_workload& workload) {
    const auto words =
        server.expect("result", answer_timeout_ms + static_cast<int>(workload.window_ms));
    if (words.size() != 6) {
        throw failure("a result of six figures was expected");
    }
    const auto figure = [&](std::size_t i) { return std::atof(words[i].c_str()); };
    return {us(figure(0)), us(figure(1)), us(figure(2)), us(figure(3)), figure(4), figure(5)};
}

priority_sample sample_echo(child_process& server, const priority_options& options,
                            const core_pair& cores) {
    const auto ports = server.expect("ready", answer_timeout_ms);
    if (ports.size() != 2) {
        throw failure("two ports were expected");
    }
    const auto port = [&](std::size_t i) {
        return static_cast<std::uint16_t>(parse_number("port", ports[i], 1, 65535));
    };
    const priority_workload& w = options.workload;
    urgent_echo_client client(server, port(0), port(1), options.bulk_connections, cores.apart());
    histogram latencies;
    const std::uint64_t bulk = client.run(priority_workload::warm_up_ms * ns_per_ms,
                                          w.window_ms * ns_per_ms, w.period_us * 1000, latencies);
    const auto quantile_us = [&](double q) {
        return us(static_cast<double>(latencies.quantile(q)));
    };
    return {quantile_us(0.5),
            quantile_us(0.99),
            quantile_us(0.999),
            us(static_cast<double>(latencies.max())),
            static_cast<double>(bulk) * 1e3 / static_cast<double>(w.window_ms),
            0};
}

priority_sample take_sample(const system& system, bool echo, const priority_options& options,
                            const core_pair& cores) {
    priority_workload workload = options.workload;
    workload.echo = echo;
    workload.load_core = cores.load;
    child_process server(program_beside(system.program), system.name, workload.to_arguments(),
                         cores.server);
    try {
        return echo ? sample_echo(server, options, cores) : sample_handlers(server, workload);
    } catch (const unavailable&) {
        throw;
    } catch (const failure& e) {
        throw failure(system.name + (echo ? ", urgent_echo: " : ", urgent_handler: ") + e.what());
    }
}

std::vector<priority_results> measure(const priority_options& options,
                                      const std::vector<system>& systems, const core_pair& cores) {
    std::vector<priority_results> all;
    for (const std::string& name : options.workloads) {
        priority_results results{name == "urgent_echo", {}};
        for (const system& s : systems) {
            results.series.push_back({s.name, {}});
        }
        all.push_back(std::move(results));
    }
    round_schedule schedule(options.run, options.run.quick ? quick_seconds : default_seconds,
                            all.size() * systems.size());
    std::vector<std::size_t> order(systems.size());
    std::iota(order.begin(), order.end(), 0u);
    while (schedule.next()) {
        for (priority_results& results : all) {
            schedule.shuffle(order);
            for (const std::size_t s : order) {
                schedule.sampling(systems[s].name + ", " + std::string(results.name()));
                results.series[s].rounds.push_back(
                    take_sample(systems[s], results.echo, options, cores));
            }
        }
    }
    return all;
}

int run(int argc, char** argv) {
    priority_options options;
    if (!parse(argc, argv, options)) {
        return EXIT_SUCCESS;
    }
    const core_pair cores = choose_cores(options.run.cores);
    if (options.run.realtime) {
        run_in_real_time();
    }
    json_file json(options.run.json_path);
    const priority_workload& w = options.workload;
    std::cout << "bench_priority: " << describe_machine() << "\nflood: " << w.queued
              << " queued handlers of " << w.handler_us
              << " us, half normal, half low; an urgent event every " << w.period_us
              << " us; loop on core " << cores.server << ", urgent events from core " << cores.load
              << "\nmedians over rounds, ratios within rounds\n";
    pin_process(0, cores.load);
    const std::vector<system> systems = usable_systems(choose_systems(known_systems(), options.run),
                                                       options.run, [&](const system& s) {
                                                           priority_options brief = options;
                                                           brief.workload.window_ms = 10;
                                                           take_sample(s, true, brief, cores);
                                                       });
    const disturbance others(cores);
    std::vector<json_row> rows;
    for (const priority_results& results : measure(options, systems, cores)) {
        std::cout << "\n" << priority_table(results);
        append_priority_rows(results, rows);
    }
    std::cout << "\n" << others.report() << "\n";
    json.write(rows);
    return EXIT_SUCCESS;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::run_benchmark("bench_priority", argc, argv, bench::roles, bench::run);
}
