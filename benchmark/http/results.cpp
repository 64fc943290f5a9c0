#include "results.hpp"

#include "../support/series.hpp"

namespace bench {

std::string http_table(const http_case& results) {
    const http_series* const baseline = find_series(results.series, http_baseline);
    table t({"system", "requests/s", "(quartiles)", "ratio", "(quartiles)", "CPU us/request",
             "(quartiles)", "ratio", "(quartiles)", "p50 us", "p99 us"});
    for (const http_series& series : results.series) {
        const spread speed = spread_over_rounds(series, &http_sample::requests_per_s);
        const spread cpu = spread_over_rounds(series, &http_sample::cpu_us_per_request);
        const spread speed_ratio =
            ratio_over_rounds(baseline, series, &http_sample::requests_per_s);
        const spread cpu_ratio =
            ratio_over_rounds(baseline, series, &http_sample::cpu_us_per_request);
        const auto median = [&](double http_sample::*what) {
            return format_number(spread_over_rounds(series, what).median);
        };
        const auto ratio = [&](const std::string& text) {
            return baseline != nullptr ? text : "-";
        };
        t.add({series.system, format_number(speed.median), format_range(speed, format_number),
               ratio(format_ratio(speed_ratio.median)),
               ratio(format_range(speed_ratio, format_ratio)), format_number(cpu.median),
               format_range(cpu, format_number), ratio(format_ratio(cpu_ratio.median)),
               ratio(format_range(cpu_ratio, format_ratio)), median(&http_sample::p50_us),
               median(&http_sample::p99_us)});
    }
    return std::to_string(results.connections) + " connections\n" + t.text();
}

void append_http_rows(const http_case& results, std::vector<json_row>& rows) {
    const http_series* const baseline = find_series(results.series, http_baseline);
    for (const http_series& series : results.series) {
        json_row row;
        row.add("benchmark", "http")
            .add("system", series.system)
            .add("connections", static_cast<double>(results.connections))
            .add("rounds", static_cast<double>(series.rounds.size()));
        add_spread(row, "requests_per_s", spread_over_rounds(series, &http_sample::requests_per_s));
        add_spread(row, "cpu_us_per_request",
                   spread_over_rounds(series, &http_sample::cpu_us_per_request));
        add_spread(row, "p50_us", spread_over_rounds(series, &http_sample::p50_us));
        add_spread(row, "p99_us", spread_over_rounds(series, &http_sample::p99_us));
        add_spread(row, "requests_ratio",
                   ratio_over_rounds(baseline, series, &http_sample::requests_per_s));
        add_spread(row, "cpu_ratio",
                   ratio_over_rounds(baseline, series, &http_sample::cpu_us_per_request));
        rows.push_back(std::move(row));
    }
}

}  // namespace bench
