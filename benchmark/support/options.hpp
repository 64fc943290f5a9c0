#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// Splits "a,b,c". An empty item is a `failure` that names the option.
std::vector<std::string> split_list(std::string_view option, std::string_view text);

/// One whole decimal number within [least, most]; anything else is a `failure` that names the
/// option and what it takes.
std::size_t parse_number(std::string_view option, std::string_view text, std::size_t least,
                         std::size_t most);

/// A comma-separated list of such numbers.
std::vector<std::size_t> parse_numbers(std::string_view option, std::string_view text,
                                       std::size_t least, std::size_t most);

/// A command line of `--name`, `--name VALUE` and `--name=VALUE`.
///
/// Nothing is accepted and then ignored: an unknown option, a missing value and a value given to
/// an option that takes none are each a `failure`.
class option_parser {
public:
    option_parser(std::string program, std::string purpose);

    void add_flag(std::string name, std::string help, std::function<void()> on_given);
    void add_value(std::string name, std::string value_name, std::string help,
                   std::function<void(const std::string&)> on_given);

    /// Calls the functions in the order of the arguments. Returns false if `--help` was given and
    /// printed, in which case the program has nothing more to do.
    bool parse(int argc, const char* const* argv) const;

    std::string help() const;

private:
    struct option {
        std::string name;
        std::string value_name;  // empty: a flag
        std::string help;
        std::function<void(const std::string&)> on_given;
    };

    const option& find(const std::string& name) const;

    std::string program_;
    std::string purpose_;
    std::vector<option> options_;
};

}  // namespace bench
