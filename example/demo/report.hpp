#pragma once

#include <string>
#include <vector>

#include "measure.hpp"

namespace demo {

/// The value below which that share of the values lies. Precondition: there are some.
double quantile(std::vector<double> values, double share);

/// The figures, one a line.
std::string table(const comparison& c);

/// The urgent clients' latencies as an SVG picture.
std::string picture(const comparison& c);

}  // namespace demo
