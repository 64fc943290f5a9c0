#include "report.hpp"

#include "failure.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace bench {

namespace {

std::string print(const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::string quoted(std::string_view value) {
    std::string text = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') {
            text += '\\';
            text += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            text += escape;
        } else {
            text += c;
        }
    }
    text += '"';
    return text;
}

}  // namespace

std::string format_number(double value) {
    if (value < 10) {
        return print("%.2f", value);
    }
    if (value < 100) {
        return print("%.1f", value);
    }
    const std::string digits = print("%.0f", value);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i != 0 && (digits.size() - i) % 3 == 0) {
            text += ',';
        }
        text += digits[i];
    }
    return text;
}

std::string format_ratio(double value) { return print("%.2f", value); }

table::table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void table::add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

std::string table::text() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], row[i].size());
        }
    }
    std::string text;
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - row[i].size(), ' ');
            text += i == 0 ? row[i] + padding : padding + "  " + row[i];
        }
        text += '\n';
    }
    return text;
}

json_row& json_row::add(std::string_view name, std::string_view value) {
    return add_raw(name, quoted(value));
}

json_row& json_row::add(std::string_view name, double value) {
    if (!std::isfinite(value)) {
        return add_raw(name, "null");  // JSON has no other word for it
    }
    char text[64];
    const auto end =
        std::to_chars(text, text + sizeof text, value, std::chars_format::general, 7).ptr;
    return add_raw(name, std::string(text, end));
}

json_row& json_row::add_raw(std::string_view name, const std::string& value) {
    if (!members_.empty()) {
        members_ += ", ";
    }
    members_ += quoted(name);
    members_ += ": ";
    members_ += value;
    return *this;
}

json_file::json_file(const std::string& path) : path_(path) {
    if (path_.empty()) {
        return;
    }
    file_.open(path_);
    if (!file_) {
        fail_errno("cannot write " + path_);
    }
}

void json_file::write(const std::vector<json_row>& rows) {
    if (path_.empty()) {
        return;
    }
    file_ << "[\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        file_ << "  " << rows[i].text() << (i + 1 < rows.size() ? ",\n" : "\n");
    }
    file_ << "]\n";
    file_.close();
    if (!file_) {
        throw failure("cannot write " + path_);
    }
}

}  // namespace bench
