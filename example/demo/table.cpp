#include <cstdio>

#include "report.hpp"

namespace demo {

namespace {

std::string line(const char* what, double stock, double rung, int digits, bool more_is_better) {
    char text[128];
    const double ratio = more_is_better ? rung / stock : stock / rung;
    std::snprintf(text, sizeof text, "%-34s%18.*f%18.*f%9.*f x\n", what, digits, stock, digits,
                  rung, ratio < 10 ? 2 : 0, ratio);
    return text;
}

}  // namespace

std::string table(const comparison& c) {
    const auto median = [](const std::vector<double>& v) { return quantile(v, 0.5); };
    char head[128];
    std::snprintf(head, sizeof head, "%-34s%18s%18s%11s\n", "", c.stock.name.c_str(),
                  c.rung.name.c_str(), "better by");
    std::string text = head;
    text += line("bulk requests per second", median(c.stock.requests_per_s),
                 median(c.rung.requests_per_s), 0, true);
    text += line("server CPU per bulk request, us", median(c.stock.cpu_us_per_request),
                 median(c.rung.cpu_us_per_request), 2, false);
    const auto latency = [&](const char* what, double share) {
        text += line(what, quantile(c.stock.urgent_us, share), quantile(c.rung.urgent_us, share), 0,
                     false);
    };
    latency("urgent request answered in, us: p50", 0.5);
    latency("                                p99", 0.99);
    latency("                              p99.9", 0.999);
    latency("                                max", 1);
    return text;
}

}  // namespace demo
