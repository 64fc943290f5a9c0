#pragma once

#include <sys/types.h>
#include <cstddef>
#include <cstdint>
#include <string>

namespace bench {

/// The two processor cores of a benchmark: one for the server or loop, one for the load. They are
/// equal if the process may use one core only.
struct core_pair {
    int server = 0;
    int load = 0;

    bool apart() const noexcept { return server != load; }
};

/// Picks two cores: those in `list` ("0,1") or else the first two that this process may run on.
/// Throws `failure` if a core named in the list does not exist or may not be used.
core_pair choose_cores(const std::string& list);

/// Confines all present threads of a process (0: the caller) to one core. Throws `failure`.
void pin_process(pid_t process, int core);

/// Confines the calling thread, and threads that it starts later, to one core. Throws `failure`.
void pin_thread(int core);

/// Gives this process, and those that it starts later, a real-time schedule (SCHED_RR): other
/// programs of the machine then wait, but for the 5 % that the kernel keeps for them. Throws
/// `failure` if that is not permitted.
void run_in_real_time();

/// Makes sure that a process may have `needed` descriptors, by raising the soft limit as far as the
/// hard one if it must. Child processes inherit it. Throws `failure` that names the cure.
void need_descriptors(std::size_t needed);

/// Watches how much of the two cores went to anything but the benchmark: other programs, interrupts
/// and, on a virtual machine, other guests. Figures from a busy machine mean little, and whoever
/// reads them should know.
class disturbance {
public:
    /// Starts watching.
    explicit disturbance(const core_pair& cores);

    /// One line for the end of the report. Precondition: child processes have been reaped.
    std::string report() const;

private:
    double cores_busy_s() const;

    core_pair cores_;
    double start_busy_s_;
    double start_own_s_;
    std::uint64_t start_ns_;
};

/// One line on what the figures were measured on: kernel, processor, cores, compiler.
std::string describe_machine();

}  // namespace bench
