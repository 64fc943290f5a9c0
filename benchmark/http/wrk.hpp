#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bench {

/// What the load generator wrk saw.
struct wrk_result {
    double requests = 0;
    double requests_per_s = 0;
    double p50_us = 0;
    double p99_us = 0;
};

/// Whether wrk is installed.
bool has_wrk();

/// Loads a server for so many whole seconds, on the core of the calling process. Throws `failure`
/// where a request fails, or wrk does.
wrk_result run_wrk(std::uint16_t port, std::size_t connections, std::size_t seconds);

/// Of what wrk prints. Throws `failure` where a figure is missing or a request failed.
wrk_result parse_wrk(const std::string& output);

}  // namespace bench
