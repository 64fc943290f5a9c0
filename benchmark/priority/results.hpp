#pragma once

#include "../support/report.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// One sample: the latency of urgent events in one window, and what the flood got done meanwhile.
struct priority_sample {
    double p50_us = 0;
    double p99_us = 0;
    double p999_us = 0;
    double max_us = 0;
    double normal_per_s = 0;  // flood handlers, or bulk messages in urgent_echo
    double low_per_s = 0;     // flood handlers; not known in urgent_echo
};

/// The samples of one system in one workload, one a round, in the order of the rounds.
struct priority_series {
    std::string system;
    std::vector<priority_sample> rounds;
};

struct priority_results {
    bool echo = false;  // urgent_echo, or else urgent_handler
    std::vector<priority_series> series;

    std::string_view name() const noexcept { return echo ? "urgent_echo" : "urgent_handler"; }
};

/// The system that the ratios are taken against: what a program has today.
inline constexpr std::string_view priority_baseline = "asio-epoll";

/// A table of one workload: medians, the quartiles of p99, and the median of its ratios to the
/// baseline, each ratio within one round.
std::string priority_table(const priority_results& results);

/// The same as JSON rows, one a system.
void append_priority_rows(const priority_results& results, std::vector<json_row>& rows);

}  // namespace bench
