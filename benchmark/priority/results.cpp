#include "results.hpp"

#include "../support/series.hpp"

namespace bench {

namespace {

/// Small ratios, as of 1 to 500, want more than two decimals.
std::string format_fraction(double value) {
    return value == 0 || value > 0.5 ? format_ratio(value) : "1/" + format_number(1 / value);
}

}  // namespace

std::string priority_table(const priority_results& results) {
    using sample = priority_sample;
    const priority_series* baseline = find_series(results.series, priority_baseline);
    std::vector<std::string> header = {"system",   "p50 us", "p99 us",     "(quartiles)",
                                       "p99.9 us", "max us", "p99 vs asio"};
    if (results.echo) {
        header.push_back("bulk messages/s");
    } else {
        header.insert(header.end(), {"normal handlers/s", "low handlers/s"});
    }
    table t(header);
    for (const priority_series& series : results.series) {
        const auto median = [&](double sample::*what) {
            return format_number(spread_over_rounds(series, what).median);
        };
        const spread p99 = spread_over_rounds(series, &sample::p99_us);
        const spread ratio = ratio_over_rounds(baseline, series, &sample::p99_us);
        std::vector<std::string> row = {series.system,
                                        median(&sample::p50_us),
                                        format_number(p99.median),
                                        format_range(p99, format_number),
                                        median(&sample::p999_us),
                                        median(&sample::max_us),
                                        baseline ? format_fraction(ratio.median) : "-",
                                        median(&sample::normal_per_s)};
        if (!results.echo) {
            row.push_back(median(&sample::low_per_s));
        }
        t.add(std::move(row));
    }
    return std::string(results.name()) + "\n" + t.text();
}

void append_priority_rows(const priority_results& results, std::vector<json_row>& rows) {
    using sample = priority_sample;
    const priority_series* baseline = find_series(results.series, priority_baseline);
    for (const priority_series& series : results.series) {
        json_row row;
        row.add("workload", results.name()).add("system", series.system);
        const std::pair<const char*, double sample::*> figures[] = {
            {"p50_us", &sample::p50_us},
            {"p99_us", &sample::p99_us},
            {"p999_us", &sample::p999_us},
            {"max_us", &sample::max_us},
        };
        for (const auto& [name, what] : figures) {
            add_spread(row, name, spread_over_rounds(series, what));
        }
        if (baseline != nullptr) {
            add_spread(row, "p99_vs_asio_epoll",
                       ratio_over_rounds(baseline, series, &sample::p99_us));
        }
        add_spread(row, results.echo ? "bulk_messages_per_s" : "normal_handlers_per_s",
                   spread_over_rounds(series, &sample::normal_per_s));
        if (!results.echo) {
            add_spread(row, "low_handlers_per_s", spread_over_rounds(series, &sample::low_per_s));
        }
        row.add("rounds", series.rounds.size());
        rows.push_back(std::move(row));
    }
}

}  // namespace bench
