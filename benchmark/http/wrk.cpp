#include "wrk.hpp"

#include "../support/failure.hpp"

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace bench {

namespace {

/// "12.34us", "1.20ms" or "1.00s" in microseconds.
double microseconds(const std::string& text) {
    char* unit = nullptr;
    const double value = std::strtod(text.c_str(), &unit);
    const std::string name = unit;
    if (name == "us") {
        return value;
    }
    if (name == "ms") {
        return value * 1e3;
    }
    if (name == "s") {
        return value * 1e6;
    }
    throw failure("wrk gave a time in an unknown unit: " + text);
}

}  // namespace

bool has_wrk() { return std::system("command -v wrk >/dev/null 2>&1") == 0; }

wrk_result run_wrk(std::uint16_t port, std::size_t connections, std::size_t seconds) {
    const std::string command = "wrk --latency -t 1 -c " + std::to_string(connections) + " -d " +
                                std::to_string(seconds) +
                                "s http://127.0.0.1:" + std::to_string(port) + "/ 2>&1";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) {
        fail_errno("cannot start wrk");
    }
    std::string output;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
        output += static_cast<char>(c);
    }
    if (::pclose(pipe) != 0) {
        throw failure("wrk failed:\n" + output);
    }
    return parse_wrk(output);
}

wrk_result parse_wrk(const std::string& output) {
    wrk_result result;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream in(line);
        std::string first;
        std::string second;
        std::string third;
        in >> first >> second >> third;
        if (first == "50%") {
            result.p50_us = microseconds(second);
        } else if (first == "99%") {
            result.p99_us = microseconds(second);
        } else if (second == "requests" && third == "in") {
            result.requests = std::strtod(first.c_str(), nullptr);
        } else if (first == "Requests/sec:") {
            result.requests_per_s = std::strtod(second.c_str(), nullptr);
        } else if ((first == "Socket" && second == "errors:") || first == "Non-2xx") {
            throw failure("requests failed: " + line);
        }
    }
    if (result.requests <= 0 || result.requests_per_s <= 0 || result.p99_us <= 0) {
        throw failure("wrk said something else than expected:\n" + output);
    }
    return result;
}

}  // namespace bench
