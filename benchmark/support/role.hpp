#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// The child's end of the line to the benchmark that started it; see `child_process`.
class control_link {
public:
    explicit control_link(int descriptor) noexcept : descriptor_(descriptor) {}

    /// "ready PORT...": the server listens on these ports.
    void ready(std::initializer_list<std::uint16_t> ports);

    /// A line of a keyword and values.
    void say(const std::string& line);

private:
    int descriptor_;
};

/// What a child process can be: usually a server of one system. The function returns when its work
/// is done, or never: servers are killed. What it throws is reported to the parent.
struct role {
    std::string_view name;
    void (*run)(control_link& link, const std::vector<std::string>& args);
};

/// If the command line is `--role NAME FD args...`, runs that role and returns the exit status;
/// nothing if it is any other command line.
std::optional<int> run_as_role(int argc, char** argv, std::span<const role> roles);

/// The whole of a benchmark's `main`: a role if the command line names one, else `run`. A failure
/// is told on standard error, and the exit status is then not zero.
int run_benchmark(std::string_view name, int argc, char** argv, std::span<const role> roles,
                  int (*run)(int argc, char** argv));

}  // namespace bench
