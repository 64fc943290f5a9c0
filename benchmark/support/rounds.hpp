#pragma once

#include "options.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// A system to be measured and the program that serves it.
struct system {
    std::string name;
    std::string program;  // file name, beside the benchmark's own
    bool by_default;      // in the run unless --systems says otherwise
};

/// The options that every whole-program benchmark has.
struct run_options {
    bool quick = false;
    bool realtime = false;
    std::string json_path;
    std::vector<std::string> systems;  // empty: those that run by default
    std::string cores;
    std::size_t rounds = 0;   // 0: as many as fit into `seconds`
    std::size_t seconds = 0;  // 0: the benchmark's default, unless `rounds` is given
};

void add_run_options(option_parser& parser, run_options& options);

/// The systems that `options` ask for, in the order of `known`. "all" stands for every one. Throws
/// `failure` that lists the known names if one is not among them.
std::vector<system> choose_systems(const std::vector<system>& known, const run_options& options);

/// The systems of `chosen` that work on this machine, found by calling `try_out` for each. One that
/// throws `unavailable` is left out with a note on standard error, unless the user asked for it by
/// name. Throws `failure` if none is left.
std::vector<system> usable_systems(const std::vector<system>& chosen, const run_options& options,
                                   const std::function<void(const system&)>& try_out);

/// Says when to start another round: a limit in rounds, or a time that a whole further round must
/// not exceed, though one round is always run. Also owns the progress line and the random order.
///
/// Progress goes to standard error: a line that is rewritten for each sample on a terminal, one
/// line a round elsewhere.
class round_schedule {
public:
    round_schedule(const run_options& options, std::size_t default_seconds,
                   std::size_t samples_a_round);
    ~round_schedule();

    round_schedule(const round_schedule&) = delete;
    round_schedule& operator=(const round_schedule&) = delete;

    /// Starts the next round, or returns false if there is none.
    bool next();

    /// Announces the next sample of the round.
    void sampling(std::string_view what);

    template <class T>
    void shuffle(std::vector<T>& items) {
        std::shuffle(items.begin(), items.end(), random_);
    }

private:
    std::string budget() const;

    std::size_t round_limit_;
    std::uint64_t budget_ns_;
    std::size_t samples_;
    std::size_t sample_ = 0;
    std::size_t round_ = 0;
    std::uint64_t start_ns_;
    std::uint64_t round_start_ns_ = 0;
    std::uint64_t longest_round_ns_ = 0;
    bool terminal_;
    std::mt19937 random_;
};

}  // namespace bench
