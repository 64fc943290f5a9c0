#include "spread.hpp"

#include <algorithm>
#include <cstddef>

namespace bench {

namespace {

double interpolate(const std::vector<double>& sorted, double fraction) {
    const double position = fraction * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double weight = position - static_cast<double>(below);
    return sorted[below] + (sorted[above] - sorted[below]) * weight;
}

}  // namespace

spread spread_of(std::vector<double> values) {
    if (values.empty()) {
        return {};
    }
    std::sort(values.begin(), values.end());
    return {interpolate(values, 0.25), interpolate(values, 0.5), interpolate(values, 0.75)};
}

}  // namespace bench
