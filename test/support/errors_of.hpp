#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>

namespace test {

/// What a child process that runs `body` writes to standard error; `status` is as waitpid(2) tells.
template <class Body>
std::string errors_of(Body body, int& status) {
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child != -1);
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::signal(SIGSEGV, SIG_DFL);
        ::signal(SIGABRT, SIG_DFL);
        body();
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char part[512];
    for (ssize_t n = 0; (n = ::read(ends[0], part, sizeof part)) > 0;) {
        text.append(part, static_cast<std::size_t>(n));
    }
    ::close(ends[0]);
    ::waitpid(child, &status, 0);
    return text;
}

/// Whether it was a signal that ended the process.
inline bool died_by(int status, int signal) {
    return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

}  // namespace test
