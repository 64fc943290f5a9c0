/// The picture: for each share of the urgent requests, within what time they were answered. Both
/// axes are logarithmic, the horizontal one in the share that took longer, which shows the slowest.

#include <algorithm>
#include <cmath>

#include "picture_head.hpp"
#include "report.hpp"
#include "text.hpp"

namespace demo {

namespace {

constexpr double left = 84, right = 836, top = 112, bottom = 440;

std::string duration(double us) {
    const bool long_one = us >= 999.5;
    const double value = long_one ? us / 1000 : us;
    return format(value < 9.95 ? "%.1f %s" : "%.0f %s", value, long_one ? "ms" : "µs");
}

class plot {
public:
    explicit plot(const comparison& c) {
        double least = 1e9, most = 0, slowest = 2;
        for (const auto* values : {&c.stock.urgent_us, &c.rung.urgent_us}) {
            least = std::min(least, quantile(*values, 0));
            most = std::max(most, quantile(*values, 1));
            slowest = std::max(slowest, static_cast<double>(values->size()));
        }
        low_ = std::log10(least) - 0.4;  // room for the labels
        high_ = std::log10(most) + 0.3;
        nines_ = std::log10(2 * slowest);
    }

    std::string axes() const {
        std::string text;
        for (int decade = static_cast<int>(std::ceil(low_)); decade <= high_; ++decade) {
            const double us = std::pow(10, decade);
            text += format("<path class='grid' d='M%g %.1fH%g'/>\n", left, y(us), right);
            const std::string label = us < 1000 ? format("%g µs", us) : format("%g ms", us / 1000);
            text += format("<text x='%g' y='%.1f' text-anchor='end'>%s</text>\n", left - 10,
                           y(us) + 4, label.c_str());
        }
        for (const double share : {0.0, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
            if (-std::log10(1 - share) <= nines_) {
                text += format("<path class='grid' d='M%.1f %gV%g'/>\n", x(share), top, bottom + 6);
                text += format("<text x='%.1f' y='%g' text-anchor='middle'>%g %%</text>\n",
                               x(share), bottom + 24, share * 100);
            }
        }
        return text;
    }

    /// The line only rises: labels above it on its left, or below it on its right, stay clear of
    /// it.
    std::string series(const results& r, const char* style, bool labels_above) const {
        const double last = std::log10(2 * static_cast<double>(r.urgent_us.size()));
        const char* const anchor = labels_above ? "end" : "start";
        const double across = labels_above ? -7 : 7;
        const double down = labels_above ? -9 : 19;
        std::string text =
            format("<path class='line %s' d='M%.1f %.1f", style, x(0), y(quantile(r.urgent_us, 0)));
        constexpr int steps = 250;
        for (int i = 1; i <= steps; ++i) {
            const double share = 1 - std::pow(10, -last * i / steps);
            text += format("L%.1f %.1f", x(share), y(quantile(r.urgent_us, share)));
        }
        text += "'/>\n";
        const auto label = [&](double at_x, double at_y, const std::string& words) {
            return format("<text class='halo %s' text-anchor='%s' x='%.1f' y='%.1f'>%s</text>\n",
                          style, anchor, at_x + across, at_y + down, words.c_str());
        };
        for (const double share : {0.5, 0.9, 0.99, 0.999}) {
            if (-std::log10(1 - share) > last) {
                break;  // so few requests have no such slow ones
            }
            const double us = quantile(r.urgent_us, share);
            text += format("<circle class='%s' cx='%.1f' cy='%.1f' r='4.5'/>\n", style, x(share),
                           y(us)) +
                    label(x(share), y(us), duration(us));
        }
        const double above_value = labels_above ? -18 : 18;
        return text + label(x(0.9), y(quantile(r.urgent_us, 0.9)) + above_value, r.name);
    }

private:
    double x(double share) const { return left + (right - left) * -std::log10(1 - share) / nines_; }
    double y(double us) const {
        return bottom - (bottom - top) * (std::log10(us) - low_) / (high_ - low_);
    }

    double low_, high_;  // of the vertical axis, as powers of ten
    double nines_;       // of the horizontal one
};

}  // namespace

std::string picture(const comparison& c) {
    const plot p(c);
    const auto text = [](const char* attributes, double across, double down, const std::string& s) {
        return format("<text %s x='%g' y='%g'>", attributes, across, down) + s + "</text>\n";
    };
    const bool stock_above = quantile(c.stock.urgent_us, 0.5) > quantile(c.rung.urgent_us, 0.5);
    return picture_head +
           text("class='ink' font-size='19' font-weight='600'", left - 52, 40,
                "How long an urgent request waits on a saturated server") +
           text("", left - 52, 64,
                format("One client asks while %zu others keep one thread busy; ", c.clients) +
                    "the same Asio server source on each context.") +
           text("class='ink'", left - 52, 96, "answered within") + p.axes() +
           text("class='ink' text-anchor='end'", right, bottom + 50,
                "share of the urgent requests, the slowest to the right") +
           p.series(c.stock, "stock", stock_above) + p.series(c.rung, "rung", !stock_above) +
           "</svg>\n";
}

}  // namespace demo
