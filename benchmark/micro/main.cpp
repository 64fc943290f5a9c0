// bench_micro: runs the registered workloads, interleaved at random and repeated, and reports
// medians, then one table with the systems side by side. Google Benchmark's own flags override
// what is set here. Every time is that of one item; a JSON reader (`--benchmark_format=json`, or
// `--benchmark_out=FILE` beside the table) takes the rows `<name>_median`: `cpu_time` as the table
// does where one thread works and never sleeps, `real_time` where the label is "wall time".
#include "system.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using run = benchmark::BenchmarkReporter::Run;

// Google Benchmark reads a flag from the environment as well; what is set there wins too.
struct flag {
    const char* environment;
    std::string argument;
};
const flag defaults[] = {
    {"BENCHMARK_ENABLE_RANDOM_INTERLEAVING", "--benchmark_enable_random_interleaving=true"},
    {"BENCHMARK_REPETITIONS", "--benchmark_repetitions=9"},
    {"BENCHMARK_MIN_TIME", "--benchmark_min_time=0.05"},
    {"BENCHMARK_REPORT_AGGREGATES_ONLY", "--benchmark_report_aggregates_only=true"},
};

// Medians in ns an item, by workload (with its argument) and system.
class table {
public:
    void add(const run& result) {
        const bool is_median = result.aggregate_name == "median" || result.repetitions == 1;
        if (!is_median || result.error_occurred)
            return;
        const std::string name = result.run_name.str();  // workload/system[/argument]
        const auto system = std::min(name.find('/'), name.size());
        const auto argument = std::min(name.find('/', system + 1), name.size());
        auto& row = rows_[name.substr(0, system) + name.substr(argument)];
        row[name.substr(system + 1, argument - system - 1)] =
            result.report_label == micro::wall_time ? result.GetAdjustedRealTime()
                                                    : result.GetAdjustedCPUTime();
    }

    void print() const {
        std::printf("\nNanoseconds an item, medians\n%-27s", "workload");
        for (const auto* title : {"rung", "asio", "asio_unsafe", "raw", "asio/rung", "rung/raw"})
            std::printf(" | %11s", title);
        std::puts("");
        for (const auto& [workload, times] : rows_)
            print_row(workload, times);
    }
    bool empty() const { return rows_.empty(); }

private:
    using system_times = std::map<std::string, double>;

    static void print_row(const std::string& workload, const system_times& times) {
        const auto time = [&](const char* system) {
            const auto found = times.find(system);
            return found == times.end() ? 0.0 : found->second;
        };
        const double rung = time("rung"), asio = time("asio"), raw = time("raw");
        if (rung + asio + raw == 0) {  // a family of its own, with systems of its own
            for (const auto& [system, own] : times)
                std::printf("%-27s | %11.1f %s\n", workload.c_str(), own, system.c_str());
            return;
        }
        std::printf("%-27s", workload.c_str());
        for (const double value : {rung, asio, time("asio_unsafe"), raw})
            std::printf(" | %s", cell(value, 1).c_str());
        std::printf(" | %s", cell(rung > 0 ? asio / rung : 0, 2).c_str());
        std::printf(" | %s", cell(raw > 0 ? rung / raw : 0, 2).c_str());
        for (const auto& [system, other] : times)
            if (system != "rung" && system != "asio" && system != "asio_unsafe" && system != "raw")
                std::printf(" | %s %.1f", system.c_str(), other);
        std::puts("");
    }
    static std::string cell(double value, int digits) {
        char text[32] = "           ";
        if (value > 0)
            std::snprintf(text, sizeof text, "%11.*f", digits, value);
        return text;
    }

    std::map<std::string, system_times> rows_;
};

// Passes results on to the reporter that the flags ask for and keeps the medians. On the console
// only the medians and their spread are shown.
class reporter final : public benchmark::BenchmarkReporter {
public:
    explicit reporter(bool on_console)
        : on_console_(on_console), next_(benchmark::CreateDefaultDisplayReporter()) {}

    bool ReportContext(const Context& context) override { return next_->ReportContext(context); }
    void ReportRuns(const std::vector<run>& results) override {
        std::vector<run> shown;
        for (const auto& result : results) {
            table_.add(result);
            failed_ |= result.error_occurred && !result.error_message.starts_with("unavailable");
            const auto& kind = result.aggregate_name;
            if (!on_console_ || (kind != "mean" && kind != "stddev"))
                shown.push_back(result);
        }
        next_->ReportRuns(shown);
    }
    void Finalize() override {
        next_->Finalize();
        if (on_console_ && !table_.empty())
            table_.print();
    }
    bool failed() const { return failed_; }

private:
    const bool on_console_;
    const std::unique_ptr<BenchmarkReporter> next_;
    table table_;
    bool failed_ = false;
};

bool asks_for_console(int argc, char** argv) {
    const char* const environment = std::getenv("BENCHMARK_FORMAT");
    std::string_view format = environment ? environment : "console";
    constexpr std::string_view prefix = "--benchmark_format=";
    for (int i = 1; i < argc; ++i)
        if (const std::string_view argument = argv[i]; argument.starts_with(prefix))
            format = argument.substr(prefix.size());
    return format == "console";
}

}  // namespace

int main(int argc, char** argv) {
    const bool on_console = asks_for_console(argc, argv);
    std::vector<std::string> arguments{argv[0]};
    for (const auto& [environment, argument] : defaults)
        if (!std::getenv(environment))
            arguments.push_back(argument);
    arguments.insert(arguments.end(), argv + 1, argv + argc);  // the last one of a flag holds

    std::vector<char*> pointers;
    for (auto& argument : arguments)
        pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);
    benchmark::Initialize(&count, pointers.data());
    if (benchmark::ReportUnrecognizedArguments(count, pointers.data()))
        return 2;
    reporter display{on_console};
    benchmark::RunSpecifiedBenchmarks(&display);
    benchmark::Shutdown();
    return display.failed() ? 1 : 0;
}
