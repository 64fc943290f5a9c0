#pragma once

#include <cstdio>
#include <string>

namespace demo {

/// What `std::printf` would print, of 500 bytes at most.
template <class... Values>
std::string format(const char* pattern, Values... values) {
    char text[501];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

}  // namespace demo
