#include "measure.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <iostream>
#include <stdexcept>

#include "child.hpp"
#include "load.hpp"
#include "machine.hpp"

namespace demo {

namespace {

constexpr auto warm_up = std::chrono::milliseconds(50);
constexpr auto window = std::chrono::milliseconds(200);
constexpr auto patience = std::chrono::seconds(10);

/// A server and its clients.
class contestant {
public:
    contestant(const child& server, std::size_t clients, bool apart) try
        : server_(server),
          apart_(apart),
          bulk_(server.listening_on().bulk, clients),
          urgent_(server.listening_on().control) {
    } catch (const std::exception& e) {
        throw std::runtime_error(server.name() + ": " + e.what());
    }

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
        const auto until = clock::now() + patience;
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

}  // namespace

comparison measure(const plan& p) {
    constexpr std::size_t other_descriptors = 64;
    need_descriptors(2 * p.clients + other_descriptors);
    const std::vector<int> cores = usable_cores();
    comparison c;
    c.clients = p.clients;
    c.apart = cores.size() > 1;
    const std::chrono::duration<double> both_take = 2 * (warm_up + window);
    c.rounds = static_cast<std::size_t>(std::max(1.0, std::round(p.seconds / both_take.count())));
    c.stock.name = "asio::io_context";
    c.rung.name = "rung::io_context";
    // Both before the first connection, which the second child would inherit.
    const child stock_server(c.stock.name, serve_on_stock, cores.front());
    const child rung_server(c.rung.name, serve_on_rung, cores.front());
    pin_to(cores.back());
    contestant stock(stock_server, p.clients, c.apart);
    contestant rung(rung_server, p.clients, c.apart);
    for (std::size_t i = 0; i < c.rounds; ++i) {
        if (::isatty(STDERR_FILENO) != 0) {
            std::cerr << "\rround " << i + 1 << " of " << c.rounds << (i + 1 == c.rounds ? "\n" : "");
        }
        // Neither always follows the other.
        if (i % 2 == 0) {
            stock.run_round(c.stock);
            rung.run_round(c.rung);
        } else {
            rung.run_round(c.rung);
            stock.run_round(c.stock);
        }
    }
    return c;
}

double quantile(std::vector<double> values, double share) {
    const auto rank = std::ceil(share * static_cast<double>(values.size()));
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

}  // namespace demo
