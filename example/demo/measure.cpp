#include "measure.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <stdexcept>

#include "child.hpp"
#include "contestant.hpp"
#include "machine.hpp"

namespace demo {

comparison measure(const plan& p) {
    constexpr std::size_t other_descriptors = 64;
    need_descriptors(2 * p.clients + other_descriptors);
    const std::vector<int> cores = usable_cores();
    comparison c;
    c.clients = p.clients;
    c.apart = cores.size() > 1;
    const std::chrono::duration<double> both_take = 2 * (contestant::warm_up + contestant::window);
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
            std::cerr << "\rround " << i + 1 << " of " << c.rounds
                      << (i + 1 == c.rounds ? "\n" : "");
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
    if (c.stock.urgent_us.empty() || c.rung.urgent_us.empty()) {
        throw std::runtime_error("no urgent request was answered in time: measure for longer");
    }
    return c;
}

}  // namespace demo
