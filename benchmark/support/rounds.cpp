#include "rounds.hpp"

#include "failure.hpp"
#include "time.hpp"

#include <unistd.h>
#include <cstdio>
#include <limits>

namespace bench {

void add_run_options(option_parser& parser, run_options& options) {
    parser.add_flag("--quick", "a short run over fewer cases (at most 15 s)",
                    [&] { options.quick = true; });
    parser.add_value("--json", "FILE", "also write the results as a JSON array of rows",
                     [&](const std::string& path) {
                         if (path.empty()) {
                             throw failure("--json wants the name of a file");
                         }
                         options.json_path = path;
                     });
    parser.add_value(
        "--systems", "LIST", "systems to measure, by name; 'all' for every one",
        [&](const std::string& list) { options.systems = split_list("--systems", list); });
    parser.add_value("--rounds", "N", "run exactly so many rounds", [&](const std::string& text) {
        options.rounds = parse_number("--rounds", text, 1, 100'000);
    });
    parser.add_value("--seconds", "S", "run as many rounds as fit into this time",
                     [&](const std::string& text) {
                         options.seconds = parse_number("--seconds", text, 1, 86'400);
                     });
    parser.add_flag("--realtime", "keep other programs off the cores (needs root)",
                    [&] { options.realtime = true; });
    parser.add_value("--cores", "A,B", "cores of the server and of the load",
                     [&](const std::string& text) { options.cores = text; });
}

std::vector<system> choose_systems(const std::vector<system>& known, const run_options& options) {
    const auto asked = [&](const std::string& name) {
        return std::find(options.systems.begin(), options.systems.end(), name) !=
               options.systems.end();
    };
    for (const std::string& name : options.systems) {
        const bool found =
            name == "all" || std::any_of(known.begin(), known.end(),
                                         [&](const system& s) { return s.name == name; });
        if (!found) {
            std::string names;
            for (const system& s : known) {
                names += " " + s.name;
            }
            throw failure("there is no system '" + name + "'; there are:" + names);
        }
    }
    std::vector<system> chosen;
    for (const system& s : known) {
        if (asked(s.name) || asked("all") || (options.systems.empty() && s.by_default)) {
            chosen.push_back(s);
        }
    }
    return chosen;
}

std::vector<system> usable_systems(const std::vector<system>& chosen, const run_options& options,
                                   const std::function<void(const system&)>& try_out) {
    std::vector<system> usable;
    for (const system& s : chosen) {
        try {
            try_out(s);
            usable.push_back(s);
        } catch (const unavailable& e) {
            const bool asked = std::find(options.systems.begin(), options.systems.end(), s.name) !=
                               options.systems.end();
            if (asked) {
                throw;
            }
            std::fprintf(stderr, "left out %s\n", e.what());
        }
    }
    if (usable.empty()) {
        throw failure("none of the systems works on this machine");
    }
    return usable;
}

round_schedule::round_schedule(const run_options& options, std::size_t default_seconds,
                               std::size_t samples_a_round)
    : round_limit_(options.rounds),
      samples_(samples_a_round),
      start_ns_(now_ns()),
      terminal_(::isatty(STDERR_FILENO) == 1),
      random_(std::random_device{}()) {
    const std::size_t seconds =
        options.seconds != 0 ? options.seconds : (options.rounds != 0 ? 0 : default_seconds);
    budget_ns_ = seconds == 0 ? std::numeric_limits<std::uint64_t>::max()
                              : std::uint64_t{seconds} * 1'000'000'000u;
    if (round_limit_ == 0) {
        round_limit_ = std::numeric_limits<std::size_t>::max();
    }
}

round_schedule::~round_schedule() {
    if (terminal_) {
        std::fputs("\r\033[K", stderr);
    }
}

bool round_schedule::next() {
    const std::uint64_t now = now_ns();
    if (round_ > 0) {
        longest_round_ns_ = std::max(longest_round_ns_, now - round_start_ns_);
        const std::uint64_t elapsed = now - start_ns_;
        if (round_ >= round_limit_ || elapsed >= budget_ns_ ||
            longest_round_ns_ > budget_ns_ - elapsed) {
            return false;
        }
    }
    ++round_;
    sample_ = 0;
    round_start_ns_ = now;
    if (!terminal_) {
        std::fprintf(stderr, "round %zu%s\n", round_, budget().c_str());
    }
    return true;
}

void round_schedule::sampling(std::string_view what) {
    ++sample_;
    if (terminal_) {
        std::fprintf(stderr, "\r\033[Kround %zu%s, %zu/%zu: %.*s", round_, budget().c_str(),
                     sample_, samples_, static_cast<int>(what.size()), what.data());
        std::fflush(stderr);
    }
}

std::string round_schedule::budget() const {
    char text[64] = "";
    const double elapsed = static_cast<double>(now_ns() - start_ns_) * 1e-9;
    if (budget_ns_ != std::numeric_limits<std::uint64_t>::max()) {
        std::snprintf(text, sizeof text, " (%.0f of %.0f s)", elapsed,
                      static_cast<double>(budget_ns_) * 1e-9);
    } else {
        std::snprintf(text, sizeof text, " of %zu (%.0f s)", round_limit_, elapsed);
    }
    return text;
}

}  // namespace bench
