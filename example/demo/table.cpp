#include <algorithm>
#include <cmath>
#include <cstddef>

#include "report.hpp"
#include "text.hpp"

namespace demo {

double quantile(std::vector<double> values, double share) {
    const auto rank = std::ceil(share * static_cast<double>(values.size()));
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

namespace {

std::string line(const char* what, double stock, double rung, int digits, double ratio) {
    return format("%-36s%17.*f%17.*f%8.*f x\n", what, digits, stock, digits, rung,
                  ratio < 9.95 ? 2 : 0, ratio);
}

}  // namespace

std::string table(const comparison& c) {
    const auto median = [](const std::vector<double>& v) { return quantile(v, 0.5); };
    const auto more_is_better = [](const char* what, double stock, double rung) {
        return line(what, stock, rung, 0, rung / stock);
    };
    const auto less_is_better = [](const char* what, int digits, double stock, double rung) {
        return line(what, stock, rung, digits, stock / rung);
    };
    std::string text =
        format("%-36s%17s%17s%10s\n", "", c.stock.name.c_str(), c.rung.name.c_str(), "better");
    text += more_is_better("bulk requests a second", median(c.stock.requests_per_s),
                           median(c.rung.requests_per_s));
    text += less_is_better("server CPU a bulk request, us", 2, median(c.stock.cpu_us_per_request),
                           median(c.rung.cpu_us_per_request));
    const auto latency = [&](const char* what, double share) {
        text += less_is_better(what, 0, quantile(c.stock.urgent_us, share),
                               quantile(c.rung.urgent_us, share));
    };
    latency("urgent request answered in, us   p50", 0.5);
    latency("                                 p99", 0.99);
    latency("                               p99.9", 0.999);
    latency("                                 max", 1);
    text +=
        format("Rates are medians of %zu rounds on each; latencies are of %zu and %zu requests.\n",
               c.rounds, c.stock.urgent_us.size(), c.rung.urgent_us.size());
    const double share = std::min(median(c.stock.cpu_share), median(c.rung.cpu_share));
    if (!c.apart) {
        text += "Servers and load shared one core, so that the figures mean little.\n";
    } else if (share < 0.9) {
        text += format(
            "The servers had %.0f %% of their core. Other programs had the rest, and the "
            "slowest requests\nwaited for those; or there were too few clients.\n",
            share * 100);
    }
    return text;
}

}  // namespace demo
