#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <utility>

namespace test {

/// A process that runs a function and then ends, or is killed: at the latest with this object, and
/// with the test.
class child_process {
public:
    template <class F>
    explicit child_process(F f) : id_(::fork()) {
        BOOST_REQUIRE(id_ != -1);
        if (id_ == 0) {
            constexpr unsigned limit_s = 40;
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::alarm(limit_s);
            try {
                f();
            } catch (...) {
                ::_exit(1);
            }
            ::_exit(0);
        }
    }
    ~child_process() { kill(); }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    void kill() {
        if (id_ != -1) {
            ::kill(id_, SIGKILL);
            ::waitpid(std::exchange(id_, -1), nullptr, 0);
        }
    }
    /// Waits for its end; gives what waitpid(2) tells.
    int wait() {
        int status = -1;
        ::waitpid(std::exchange(id_, -1), &status, 0);
        return status;
    }

private:
    pid_t id_;
};

}  // namespace test
