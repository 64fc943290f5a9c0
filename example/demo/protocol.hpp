#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

/// What server and clients of the demo agree on.
///
/// The bulk port answers a line with its checksum. The control port answers a line with the same
/// line and how many bulk requests have been served so far, and a HTTP GET with the same in text.
namespace demo {

/// Ports on 127.0.0.1; 0 stands for any that is free.
struct ports {
    std::uint16_t bulk = 0;
    std::uint16_t control = 0;
};

/// FNV-1a, the work that a bulk request asks for: some microseconds for a line of 4 KB.
inline std::uint64_t checksum(std::string_view text) noexcept {
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const char c : text) {
        sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    return sum;
}

/// The line with which the bulk port answers a line.
inline std::string bulk_answer(std::string_view line) {
    char text[18];
    std::snprintf(text, sizeof text, "%016llx\n", static_cast<unsigned long long>(checksum(line)));
    return text;
}

/// The line with which the control port answers a line, or the response to an HTTP request.
inline std::string control_answer(const std::string& line, bool http, std::uint64_t served) {
    const std::string text = std::to_string(served) + " bulk requests served\n";
    if (!http) {
        return line + ": " + text;
    }
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " +
           std::to_string(text.size()) + "\r\n\r\n" + text;
}

}  // namespace demo
