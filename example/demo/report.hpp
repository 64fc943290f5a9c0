#pragma once

#include <string>

#include "measure.hpp"

namespace demo {

std::string table(const comparison& c);

/// The urgent clients' latencies as an SVG picture.
std::string picture(const comparison& c);

}  // namespace demo
