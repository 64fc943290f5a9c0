#pragma once

#include "../support/report.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

/// One sample: a server process loaded on two cores, and again on one core that it shares with the
/// load.
struct echo_sample {
    double messages_per_s = 0;
    double p50_us = 0;
    double p99_us = 0;
    double p999_us = 0;
    double cpu_ns_per_message = 0;
};

/// The samples of one system in one case, one a round, in the order of the rounds.
struct echo_series {
    std::string system;
    std::vector<echo_sample> rounds;
};

/// A case: so many connections, messages of such a size.
struct echo_case {
    std::size_t connections = 0;
    std::size_t size = 0;
    std::vector<echo_series> series;
};

/// The system that the ratios are taken against.
inline constexpr std::string_view echo_baseline = "raw-epoll";

/// A table of one case: medians, quartiles, and the medians of the ratios to the baseline, each
/// ratio within one round.
std::string echo_table(const echo_case& results);

/// The same as JSON rows, one a system.
void append_echo_rows(const echo_case& results, std::vector<json_row>& rows);

}  // namespace bench
