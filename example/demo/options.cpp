#include "options.hpp"

#include <charconv>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace demo {

namespace {

double number(std::string_view option, std::string_view text, int least, int most) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
        throw std::invalid_argument(std::string(option) + " wants a number from " +
                                    std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
}

}  // namespace

options parse(int argc, char** argv) {
    options o;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        const auto value = [&]() -> std::string_view {
            if (++i == argc) {
                throw std::invalid_argument(std::string(name) + " wants a value");
            }
            return argv[i];
        };
        if (name == "--seconds") {
            o.measured.seconds = number(name, value(), 1, 3600);
        } else if (name == "--clients") {
            o.measured.clients = static_cast<std::size_t>(number(name, value(), 1, 10'000));
        } else if (name == "--svg") {
            o.svg = value();
        } else if (name == "--quick") {
            o.measured.seconds = 2;
        } else if (name == "--serve") {
            o.serve = serve_on_rung;
        } else if (name == "--serve-stock") {
            o.serve = serve_on_stock;
        } else if (name == "--help") {
            o.help = true;
        } else {
            throw std::invalid_argument("there is no option " + std::string(name) + "; see --help");
        }
    }
    return o;
}

}  // namespace demo
