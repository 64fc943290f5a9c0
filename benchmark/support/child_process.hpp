#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// A benchmark program started in another role and pinned to a core; killed and reaped by the
/// destructor. It dies with its parent, so that nothing is left behind however the parent ends.
///
/// The two talk in lines over a socket pair: see `control_link` for the child's end. Thread-safety:
/// none. The child dies with the *thread* that started it, which must therefore be the main one.
class child_process {
public:
    /// Starts `program --role ROLE FD args...`. Throws `failure` if it cannot be started.
    child_process(const std::string& program, const std::string& role,
                  const std::vector<std::string>& args, int core);
    ~child_process();

    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    pid_t id() const noexcept { return id_; }

    /// The words of the child's next line after the first, which must be `keyword`.
    ///
    /// Throws `unavailable` if the child says that its system cannot run here, and `failure` if it
    /// reports an error, ends, says something else, or is silent for `timeout_ms`.
    std::vector<std::string> expect(const std::string& keyword, int timeout_ms);

    /// Processor time, user and system, that all threads of the child have used so far.
    std::uint64_t cpu_time_ns() const;

    /// For the end of an error message: " (it was killed by ...)" if the child has ended or does so
    /// within a moment, since the kernel closes a dying process's sockets before it can be reaped.
    std::string obituary();

private:
    std::string read_line(int timeout_ms);
    void reap(int wait_flags) noexcept;
    std::string how_it_ended() const;

    std::string name_;
    pid_t id_ = -1;
    int control_ = -1;
    bool reaped_ = false;
    int wait_status_ = 0;
    std::string received_;
};

/// The path of a program that was built into the same directory as this one.
std::string program_beside(const std::string& name);

}  // namespace bench
