#pragma once

#include <concepts>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// A number as a person reads it: three or four significant digits, thousands separated.
std::string format_number(double value);

/// A ratio with two decimals.
std::string format_ratio(double value);

/// Columns of text, each as wide as its widest cell; the first is aligned left, the rest right.
class table {
public:
    explicit table(std::vector<std::string> header);

    void add(std::vector<std::string> row);
    std::string text() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

/// One JSON object, written as its members are added. Strings are names of this benchmark's own,
/// and are escaped all the same.
class json_row {
public:
    json_row& add(std::string_view name, std::string_view value);
    json_row& add(std::string_view name, double value);

    template <std::integral T>
    json_row& add(std::string_view name, T value) {
        return add_raw(name, std::to_string(value));
    }

    std::string text() const { return "{" + members_ + "}"; }

private:
    json_row& add_raw(std::string_view name, const std::string& value);

    std::string members_;
};

/// A file with a JSON array, one row a line. Opened before the measurements, so that a path that
/// cannot be written fails at once and not after them.
class json_file {
public:
    /// An empty path: `write` does nothing. Throws `failure` if the file cannot be opened.
    explicit json_file(const std::string& path);

    /// Throws `failure` if the rows cannot be written.
    void write(const std::vector<json_row>& rows);

private:
    std::string path_;
    std::ofstream file_;
};

}  // namespace bench
