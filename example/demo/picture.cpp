/// The picture: for each share of the urgent requests, within what time they were answered. Both
/// axes are logarithmic, the horizontal one in the share that took longer, which shows the slowest.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "report.hpp"

namespace demo {

namespace {

constexpr double left = 84, right = 836, top = 112, bottom = 440;

constexpr const char* head = R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 520"
 role="img" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
<style>
.paper { fill: #fff; } text { fill: #59636e; } .ink { fill: #1f2328; }
.grid { stroke: #d8dee4; } .line { stroke-width: 2.5; }
.halo { stroke: #fff; stroke-width: 4; paint-order: stroke; font-weight: 600; }
.stock { fill: #bc4c00; } .line.stock { fill: none; stroke: #bc4c00; }
.rung { fill: #0969da; } .line.rung { fill: none; stroke: #0969da; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } text { fill: #9198a1; } .ink { fill: #f0f6fc; }
.grid { stroke: #2f353d; } .halo { stroke: #0d1117; }
.stock { fill: #f0883e; } .line.stock { fill: none; stroke: #f0883e; }
.rung { fill: #58a6ff; } .line.rung { fill: none; stroke: #58a6ff; } }
</style>
<rect class="paper" width="880" height="520" rx="8"/>
)";

template <class... Values>
std::string format(const char* pattern, Values... values) {
    char text[512];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

std::string duration(double us) {
    const bool long_one = us >= 999.5;
    const double value = long_one ? us / 1000 : us;
    return format(value < 9.95 ? "%.1f %s" : "%.0f %s", value, long_one ? "ms" : "µs");
}

class plot {
public:
    explicit plot(const comparison& c) {
        double least = 1e9;
        double most = 0;
        double slowest = 2;
        for (const auto* values : {&c.stock.urgent_us, &c.rung.urgent_us}) {
            least = std::min(least, quantile(*values, 0));
            most = std::max(most, quantile(*values, 1));
            slowest = std::max(slowest, static_cast<double>(values->size()));
        }
        low_ = std::floor(std::log10(least));
        high_ = std::max(std::ceil(std::log10(most)), low_ + 1);
        nines_ = std::log10(2 * slowest);
    }

    std::string axes() const {
        std::string text;
        for (double decade = low_; decade <= high_; ++decade) {
            const double us = std::pow(10, decade);
            text += format("<path class='grid' d='M%g %.1fH%g'/>\n", left, y(us), right);
            const std::string label = us < 1000 ? format("%g µs", us) : format("%g ms", us / 1000);
            text += format("<text x='%g' y='%.1f' text-anchor='end'>%s</text>\n", left - 10,
                           y(us) + 4, label.c_str());
        }
        for (const double share : {0.0, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
            if (-std::log10(1 - share) <= nines_) {
                text += format("<path class='grid' d='M%.1f %gV%g'/>\n", x(share), top, bottom + 6);
                text += format("<text x='%.1f' y='%g' text-anchor='middle'>%g %%</text>\n", x(share),
                               bottom + 24, share * 100);
            }
        }
        return text;
    }

    /// `side`: -1 writes above the line, 1 below it.
    std::string series(const results& r, const char* style, double side) const {
        const auto n = static_cast<double>(r.urgent_us.size());
        const double offset = side < 0 ? -12 : 24;
        std::string text = format("<path class='line %s' d='", style);
        for (double nines = 0; nines <= std::log10(2 * n); nines += 0.02) {
            const double share = 1 - std::pow(10, -nines);
            text += format("%s%.1f %.1f", nines == 0 ? "M" : "L", x(share),
                           y(quantile(r.urgent_us, share)));
        }
        text += "'/>\n";
        for (const double share : {0.5, 0.9, 0.99, 0.999}) {
            const double us = quantile(r.urgent_us, share);
            const std::string label = (share == 0.5 ? r.name + ": " : "") + duration(us);
            text += format("<circle class='%s' cx='%.1f' cy='%.1f' r='4.5'/>\n", style, x(share),
                           y(us));
            text += format("<text class='halo %s' x='%.1f' y='%.1f' text-anchor='%s'>%s</text>\n",
                           style, x(share), y(us) + offset, share == 0.5 ? "start" : "middle",
                           label.c_str());
        }
        return text;
    }

private:
    double x(double share) const { return left + (right - left) * -std::log10(1 - share) / nines_; }
    double y(double us) const {
        return bottom - (bottom - top) * (std::log10(us) - low_) / (high_ - low_);
    }

    double low_;    // of the vertical axis, as a power of ten
    double high_;
    double nines_;  // of the horizontal one
};

}  // namespace

std::string picture(const comparison& c) {
    const plot p(c);
    const auto text = [](const char* attributes, double across, double down, const std::string& s) {
        return format("<text %s x='%g' y='%g'>", attributes, across, down) + s + "</text>\n";
    };
    const bool stock_above = quantile(c.stock.urgent_us, 0.5) > quantile(c.rung.urgent_us, 0.5);
    return head +
           text("class='ink' font-size='19' font-weight='600'", left - 52, 40,
                "How long an urgent request waits on a saturated server") +
           text("", left - 52, 64,
                format("One client asks while %zu others keep one thread busy; ", c.clients) +
                    "the same Asio server source on each context.") +
           text("class='ink'", left - 52, 96, "answered within") + p.axes() +
           text("class='ink' text-anchor='end'", right, bottom + 50,
                "share of the urgent requests, the slowest to the right") +
           p.series(c.stock, "stock", stock_above ? -1 : 1) +
           p.series(c.rung, "rung", stock_above ? 1 : -1) + "</svg>\n";
}

}  // namespace demo
