#pragma once

// What both programs do with the samples of a system, one a round: a `Series` has a `system`, which
// is its name, and `rounds`, a vector of samples in the order of the rounds.

#include "report.hpp"
#include "spread.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// The series of the system of this name, or null.
template <class Series>
const Series* find_series(const std::vector<Series>& all, std::string_view system) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Series& s) { return s.system == system; });
    return found == all.end() ? nullptr : &*found;
}

/// One figure of the samples, over the rounds.
template <class Series, class Sample>
spread spread_over_rounds(const Series& series, double Sample::*figure) {
    std::vector<double> values;
    for (const Sample& sample : series.rounds) {
        values.push_back(sample.*figure);
    }
    return spread_of(std::move(values));
}

/// The ratios of one figure to that of a baseline, round by round, since within a round the machine
/// is nearly the same for all systems. All zero without a baseline.
template <class Series, class Sample>
spread ratio_over_rounds(const Series* baseline, const Series& series, double Sample::*figure) {
    std::vector<double> ratios;
    if (baseline != nullptr) {
        const std::size_t n = std::min(series.rounds.size(), baseline->rounds.size());
        for (std::size_t i = 0; i < n; ++i) {
            ratios.push_back(series.rounds[i].*figure / baseline->rounds[i].*figure);
        }
    }
    return spread_of(std::move(ratios));
}

/// Adds the median under `name` and the quartiles as `name_q1` and `name_q3`.
inline void add_spread(json_row& row, const std::string& name, const spread& s) {
    row.add(name, s.median).add(name + "_q1", s.q1).add(name + "_q3", s.q3);
}

/// The quartiles, as in "12..15".
inline std::string format_range(const spread& s, std::string (*format)(double)) {
    return format(s.q1) + ".." + format(s.q3);
}

}  // namespace bench
