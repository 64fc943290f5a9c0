#pragma once

#include <vector>

namespace bench {

/// A median with the quartiles around it: what every figure of the benchmarks is reported as,
/// because single runs on a shared machine swing by a third.
struct spread {
    double q1 = 0;
    double median = 0;
    double q3 = 0;
};

/// Quartiles by linear interpolation between order statistics. All zero for no values.
spread spread_of(std::vector<double> values);

}  // namespace bench
