#include "child_process.hpp"

#include "failure.hpp"
#include "machine.hpp"
#include "time.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <sstream>

namespace bench {

namespace {

constexpr int exec_failed = 127;

/// What happens between fork and exec; the parent has one thread, so any call is allowed here.
[[noreturn]] void become(const std::string& program, const std::vector<std::string>& arguments,
                         int core, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(exec_failed);  // the parent died before it could be watched
    }
    try {
        pin_thread(core);
    } catch (const failure&) {
        ::_exit(exec_failed);
    }
    std::vector<char*> raw;
    for (const std::string& argument : arguments) {
        raw.push_back(const_cast<char*>(argument.c_str()));
    }
    raw.push_back(nullptr);
    ::execv(program.c_str(), raw.data());
    ::_exit(exec_failed);
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) {
        words.push_back(word);
    }
    return words;
}

}  // namespace

child_process::child_process(const std::string& program, const std::string& role,
                             const std::vector<std::string>& args, int core)
    : name_(role) {
    if (::access(program.c_str(), X_OK) != 0) {
        throw unavailable(role + ": needs the program " + program + ", which was not built");
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        fail_errno("cannot make a socket pair");
    }
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    std::vector<std::string> arguments{program, "--role", role, std::to_string(ends[1])};
    arguments.insert(arguments.end(), args.begin(), args.end());
    const pid_t parent = ::getpid();
    id_ = ::fork();
    if (id_ == 0) {
        become(program, arguments, core, parent);
    }
    const int fork_error = errno;
    ::close(ends[1]);
    if (id_ < 0) {
        ::close(ends[0]);
        errno = fork_error;
        fail_errno("cannot start a process");
    }
    control_ = ends[0];
}

child_process::~child_process() {
    if (!reaped_) {
        ::kill(id_, SIGKILL);
        reap(0);
    }
    ::close(control_);
}

std::vector<std::string> child_process::expect(const std::string& keyword, int timeout_ms) {
    const std::string line = read_line(timeout_ms);
    std::vector<std::string> words = words_of(line);
    const std::string first = words.empty() ? "" : words.front();
    if (first == keyword) {
        words.erase(words.begin());
        return words;
    }
    const std::string rest = line.substr(std::min(line.size(), first.size() + 1));
    if (first == "unavailable") {
        throw unavailable(name_ + ": " + rest);
    }
    if (first == "failed") {
        throw failure(name_ + ": " + rest);
    }
    throw failure(name_ + " said '" + line + "' instead of '" + keyword + "'");
}

std::string child_process::read_line(int timeout_ms) {
    const std::uint64_t deadline = now_ns() + static_cast<std::uint64_t>(timeout_ms) * ns_per_ms;
    for (;;) {
        const auto end = received_.find('\n');
        if (end != std::string::npos) {
            std::string line = received_.substr(0, end);
            received_.erase(0, end + 1);
            return line;
        }
        const std::uint64_t now = now_ns();
        const int left = now < deadline ? static_cast<int>((deadline - now) / ns_per_ms) + 1 : 0;
        pollfd readable{control_, POLLIN, 0};
        const int ready = ::poll(&readable, 1, left);
        if (ready == 0) {
            throw failure(name_ + " was silent for " + std::to_string(timeout_ms) + " ms");
        }
        char buffer[512];
        const ssize_t n = ready > 0 ? ::read(control_, buffer, sizeof buffer) : -1;
        if (n > 0) {
            received_.append(buffer, static_cast<std::size_t>(n));
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            reap(0);
            throw failure(name_ + " " + how_it_ended() + " before it answered");
        }
    }
}

std::uint64_t child_process::cpu_time_ns() const {
    clockid_t clock;
    timespec t;
    const int error = ::clock_getcpuclockid(id_, &clock);
    if (error != 0 || ::clock_gettime(clock, &t) != 0) {
        throw failure("cannot read the processor time of " + name_ + ": it ended");
    }
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(t.tv_nsec);
}

std::string child_process::obituary() {
    for (int i = 0; i < 20 && !reaped_; ++i) {
        ::usleep(5'000);
        reap(WNOHANG);
    }
    return reaped_ ? " (it " + how_it_ended() + ")" : "";
}

std::string child_process::how_it_ended() const {
    if (WIFSIGNALED(wait_status_)) {
        return std::string("was killed by ") + ::strsignal(WTERMSIG(wait_status_));
    }
    return "exited with status " + std::to_string(WEXITSTATUS(wait_status_));
}

void child_process::reap(int wait_flags) noexcept {
    pid_t ended = 0;
    while (!reaped_ && (ended = ::waitpid(id_, &wait_status_, wait_flags)) < 0 && errno == EINTR) {
    }
    reaped_ = reaped_ || ended == id_;
}

std::string program_beside(const std::string& name) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) {
        throw failure("cannot find this program's own path: " + error.message());
    }
    return (self.parent_path() / name).string();
}

}  // namespace bench
