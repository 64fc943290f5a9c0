#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "machine.hpp"

namespace demo {

namespace {

[[noreturn]] void serve_in_child(serve_function* serve, int core, int report) {
    const auto tell = [report](const std::string& text) {
        // The parent notices if nothing arrives.
        static_cast<void>(::write(report, text.data(), text.size()) > 0);
        ::close(report);
    };
    try {
        pin_to(core);
        serve({}, [&](ports p) { tell(std::to_string(p.bulk) + " " + std::to_string(p.control)); });
    } catch (const std::exception& e) {
        tell(e.what());
    }
    ::_exit(EXIT_FAILURE);
}

/// All that the child reports until it closes the pipe.
std::string await_report(int report) {
    constexpr int patience_ms = 20'000;
    std::string text;
    char part[256];
    for (;;) {
        pollfd p{report, POLLIN, 0};
        if (::poll(&p, 1, patience_ms) != 1) {
            return "it said nothing for 20 seconds";
        }
        const ssize_t n = ::read(report, part, sizeof part);
        if (n <= 0) {
            return text.empty() ? "it ended without a word" : text;
        }
        text.append(part, static_cast<std::size_t>(n));
    }
}

}  // namespace

child::child(std::string name, serve_function* serve, int core) : name_(std::move(name)) {
    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::system_category(), "pipe2");
    }
    const pid_t parent = ::getpid();
    id_ = ::fork();
    if (id_ == 0) {
        ::close(report[0]);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) {  // it died before the line above
            ::_exit(EXIT_FAILURE);
        }
        serve_in_child(serve, core, report[1]);
    }
    const int fork_error = errno;
    ::close(report[1]);
    const std::string text = id_ != -1 ? await_report(report[0]) : std::strerror(fork_error);
    ::close(report[0]);
    std::istringstream words(text);
    if (!(words >> ports_.bulk >> ports_.control)) {
        stop();
        throw std::runtime_error("the server on " + name_ + " did not start: " + text);
    }
}

void child::stop() noexcept {
    if (id_ > 0) {
        ::kill(id_, SIGKILL);
        ::waitpid(id_, nullptr, 0);
    }
}

double child::cpu_seconds() const {
    clockid_t clock{};
    timespec t{};
    if (::clock_getcpuclockid(id_, &clock) != 0 || ::clock_gettime(clock, &t) != 0) {
        throw std::runtime_error("the server on " + name_ + " has ended");
    }
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace demo
