#include "options.hpp"

#include "failure.hpp"

#include <algorithm>
#include <charconv>
#include <iostream>

namespace bench {

std::vector<std::string> split_list(std::string_view option, std::string_view text) {
    std::vector<std::string> items;
    for (;;) {
        const auto comma = text.find(',');
        const std::string_view item = text.substr(0, comma);
        if (item.empty()) {
            throw failure(std::string(option) + " has an empty item");
        }
        items.emplace_back(item);
        if (comma == std::string_view::npos) {
            return items;
        }
        text.remove_prefix(comma + 1);
    }
}

std::size_t parse_number(std::string_view option, std::string_view text, std::size_t least,
                         std::size_t most) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
        throw failure(std::string(option) + " takes numbers from " + std::to_string(least) +
                      " to " + std::to_string(most) + "; got '" + std::string(text) + "'");
    }
    return value;
}

std::vector<std::size_t> parse_numbers(std::string_view option, std::string_view text,
                                       std::size_t least, std::size_t most) {
    std::vector<std::size_t> numbers;
    for (const std::string& item : split_list(option, text)) {
        numbers.push_back(parse_number(option, item, least, most));
    }
    return numbers;
}

option_parser::option_parser(std::string program, std::string purpose)
    : program_(std::move(program)), purpose_(std::move(purpose)) {}

void option_parser::add_flag(std::string name, std::string help, std::function<void()> on_given) {
    options_.push_back({std::move(name), "", std::move(help),
                        [on_given = std::move(on_given)](const std::string&) { on_given(); }});
}

void option_parser::add_value(std::string name, std::string value_name, std::string help,
                              std::function<void(const std::string&)> on_given) {
    options_.push_back(
        {std::move(name), std::move(value_name), std::move(help), std::move(on_given)});
}

bool option_parser::parse(int argc, const char* const* argv) const {
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--help" || argument == "-h") {
            std::cout << help();
            return false;
        }
        const auto equals = argument.find('=');
        const option& found = find(argument.substr(0, equals));
        if (found.value_name.empty()) {
            if (equals != std::string::npos) {
                throw failure(found.name + " takes no value");
            }
            found.on_given("");
        } else if (equals != std::string::npos) {
            found.on_given(argument.substr(equals + 1));
        } else if (++i < argc) {
            found.on_given(argv[i]);
        } else {
            throw failure(found.name + " wants a value: " + found.value_name);
        }
    }
    return true;
}

std::string option_parser::help() const {
    std::string text = "usage: " + program_ + " [options]\n\n" + purpose_ + "\n\n";
    std::size_t width = 0;
    for (const option& o : options_) {
        width = std::max(width, o.name.size() + 1 + o.value_name.size());
    }
    for (const option& o : options_) {
        std::string left = o.name;
        if (!o.value_name.empty()) {
            left += " " + o.value_name;
        }
        text += "  " + left + std::string(width - left.size() + 2, ' ') + o.help + "\n";
    }
    return text;
}

const option_parser::option& option_parser::find(const std::string& name) const {
    const auto found = std::find_if(options_.begin(), options_.end(),
                                    [&](const option& o) { return o.name == name; });
    if (found == options_.end()) {
        throw failure("unknown option '" + name + "'; --help lists the options");
    }
    return *found;
}

}  // namespace bench
