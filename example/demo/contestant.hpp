#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>

#include "child.hpp"
#include "load.hpp"
#include "measure.hpp"

namespace demo {

/// A server and its clients, bulk and urgent. Members throw `std::runtime_error`s that name the
/// server.
class contestant {
public:
    static constexpr auto warm_up = std::chrono::milliseconds(50);
    static constexpr auto window = std::chrono::milliseconds(200);

    contestant(const child& server, std::size_t clients, bool apart) try
        : server_(server),
          apart_(apart),
          bulk_(server.listening_on().bulk, clients),
          urgent_(server.listening_on().control) {
    } catch (const std::exception& e) {
        throw std::runtime_error(server.name() + ": " + e.what());
    }

    /// Drives the server for `warm_up`, which is not counted, and for `window`.
    void run_round(results& into) try {
        bulk_.start();
        drive(clock::now() + warm_up);
        const auto from = clock::now();
        const double cpu_before = server_.cpu_seconds();
        const auto answers = static_cast<double>(std::max<std::size_t>(drive(from + window), 1));
        const double cpu = server_.cpu_seconds() - cpu_before;
        const std::chrono::duration<double> passed = clock::now() - from;
        into.requests_per_s.push_back(answers / passed.count());
        into.cpu_us_per_request.push_back(cpu * 1e6 / answers);
        into.cpu_share.push_back(cpu / passed.count());
        drain();
        urgent_.take_latencies(from, into.urgent_us);
    } catch (const std::exception& e) {
        throw std::runtime_error(server_.name() + ": " + e.what());
    }

private:
    /// Gives how many bulk requests were answered.
    std::size_t drive(clock::time_point until) {
        std::size_t answers = 0;
        while (clock::now() < until) {
            answers += attend(true, until);
        }
        return answers;
    }
    void drain() {
        const auto until = clock::now() + std::chrono::seconds(10);
        while (!bulk_.done() || !urgent_.done()) {
            attend(false, {});
            if (clock::now() > until) {
                throw std::runtime_error("the server left requests unanswered for ten seconds");
            }
        }
    }
    std::size_t attend(bool again, clock::time_point until) {
        urgent_.attend(until);
        const std::size_t answers = bulk_.attend(again, [&] { urgent_.attend(until); });
        if (!apart_) {
            ::sched_yield();  // the server has no other core
        }
        return answers;
    }

    const child& server_;
    const bool apart_;
    bulk_clients bulk_;
    urgent_client urgent_;
};

}  // namespace demo
