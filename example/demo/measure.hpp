#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace demo {

struct plan {
    double seconds = 16;        // all rounds together
    std::size_t clients = 200;  // bulk clients of each server
};

/// What one server did.
struct results {
    std::string name;
    std::vector<double> requests_per_s;      // in each round
    std::vector<double> cpu_us_per_request;  // in each round
    std::vector<double> cpu_share;           // of its core, in each round
    std::vector<double> urgent_us;           // for each urgent request
};

struct comparison {
    results stock;
    results rung;
    std::size_t clients = 0;  // bulk clients of each
    std::size_t rounds = 0;   // of each
    bool apart = true;        // whether server and load had a core each
};

/// Runs both servers, each in a process of its own, and drives them in turn in many short rounds,
/// so that whatever else the machine does falls on both alike. Throws `std::exception`s.
comparison measure(const plan& p);

}  // namespace demo
