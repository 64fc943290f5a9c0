#include "role.hpp"

#include "failure.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace bench {

void control_link::ready(std::initializer_list<std::uint16_t> ports) {
    std::ostringstream line;
    line << "ready";
    for (const std::uint16_t port : ports) {
        line << ' ' << port;
    }
    say(line.str());
}

void control_link::say(const std::string& line) {
    const std::string text = line + "\n";
    if (::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(text.size())) {
        fail_errno("cannot talk to the benchmark that started this process");
    }
}

std::optional<int> run_as_role(int argc, char** argv, std::span<const role> roles) {
    if (argc < 4 || std::string_view(argv[1]) != "--role") {
        return std::nullopt;
    }
    const std::string_view name = argv[2];
    const int descriptor = std::atoi(argv[3]);
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    control_link link(descriptor);
    const std::vector<std::string> args(argv + 4, argv + argc);
    try {
        for (const role& r : roles) {
            if (r.name == name) {
                r.run(link, args);
                return EXIT_SUCCESS;
            }
        }
        link.say("unavailable this program was built without it");
    } catch (const unavailable& e) {
        link.say(std::string("unavailable ") + e.what());
    } catch (const std::exception& e) {
        // The parent may have stopped listening by now; then standard error is what is left.
        std::cerr << name << ": " << e.what() << "\n";
        link.say(std::string("failed ") + e.what());
    }
    return EXIT_FAILURE;
}

int run_benchmark(std::string_view name, int argc, char** argv, std::span<const role> roles,
                  int (*run)(int argc, char** argv)) {
    try {
        if (const auto status = run_as_role(argc, argv, roles)) {
            return *status;
        }
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::cerr << name << ": " << e.what() << "\n";
        return EXIT_FAILURE;
    }
}

}  // namespace bench
