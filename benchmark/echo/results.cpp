#include "results.hpp"

#include "../support/series.hpp"

namespace bench {

std::string echo_table(const echo_case& results) {
    const echo_series* baseline = find_series(results.series, echo_baseline);
    table t({"system", "messages/s", "(quartiles)", "vs raw", "p50 us", "p99 us", "p99.9 us",
             "CPU ns/message", "(quartiles)", "vs raw", "(quartiles)"});
    for (const echo_series& series : results.series) {
        const spread speed = spread_over_rounds(series, &echo_sample::messages_per_s);
        const spread cpu = spread_over_rounds(series, &echo_sample::cpu_ns_per_message);
        const spread speed_ratio =
            ratio_over_rounds(baseline, series, &echo_sample::messages_per_s);
        const spread cpu_ratio =
            ratio_over_rounds(baseline, series, &echo_sample::cpu_ns_per_message);
        const auto median = [&](double echo_sample::*what) {
            return format_number(spread_over_rounds(series, what).median);
        };
        const auto ratio = [&](const std::string& text) { return baseline ? text : "-"; };
        t.add({series.system, format_number(speed.median), format_range(speed, format_number),
               ratio(format_ratio(speed_ratio.median)), median(&echo_sample::p50_us),
               median(&echo_sample::p99_us), median(&echo_sample::p999_us),
               format_number(cpu.median), format_range(cpu, format_number),
               ratio(format_ratio(cpu_ratio.median)),
               ratio(format_range(cpu_ratio, format_ratio))});
    }
    return std::to_string(results.connections) +
           (results.connections == 1 ? " connection, " : " connections, ") +
           std::to_string(results.size) + " B\n" + t.text();
}

void append_echo_rows(const echo_case& results, std::vector<json_row>& rows) {
    const echo_series* baseline = find_series(results.series, echo_baseline);
    for (const echo_series& series : results.series) {
        json_row row;
        row.add("workload", "echo").add("system", series.system);
        row.add("connections", results.connections).add("size", results.size);
        const std::pair<const char*, double echo_sample::*> figures[] = {
            {"messages_per_s", &echo_sample::messages_per_s},
            {"p50_us", &echo_sample::p50_us},
            {"p99_us", &echo_sample::p99_us},
            {"p999_us", &echo_sample::p999_us},
            {"cpu_ns_per_message", &echo_sample::cpu_ns_per_message},
        };
        for (const auto& [name, what] : figures) {
            add_spread(row, name, spread_over_rounds(series, what));
        }
        if (baseline != nullptr) {
            add_spread(row, "messages_vs_raw_epoll",
                       ratio_over_rounds(baseline, series, &echo_sample::messages_per_s));
            add_spread(row, "cpu_vs_raw_epoll",
                       ratio_over_rounds(baseline, series, &echo_sample::cpu_ns_per_message));
        }
        row.add("rounds", series.rounds.size());
        rows.push_back(std::move(row));
    }
}

}  // namespace bench
