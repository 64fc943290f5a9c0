#pragma once

#include "../support/report.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

/// One sample: a server process loaded by wrk, each on a core of its own.
struct http_sample {
    double requests_per_s = 0;
    double cpu_us_per_request = 0;
    double p50_us = 0;
    double p99_us = 0;
};

/// The samples of one system, one a round, in the order of the rounds.
struct http_series {
    std::string system;
    std::vector<http_sample> rounds;
};

/// So many connections at a time.
struct http_case {
    std::size_t connections = 0;
    std::vector<http_series> series;
};

/// The system that the ratios are taken against.
inline constexpr std::string_view http_baseline = "asio-callback";

/// A table of one case: medians, quartiles, and the medians of the ratios to the baseline, each
/// ratio within one round.
std::string http_table(const http_case& results);

/// The same as JSON rows, one a system.
void append_http_rows(const http_case& results, std::vector<json_row>& rows);

}  // namespace bench
