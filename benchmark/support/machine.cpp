#include "machine.hpp"

#include "failure.hpp"
#include "options.hpp"
#include "time.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace bench {

void fail_errno(const std::string& what) { throw failure(what + ": " + std::strerror(errno)); }

namespace {

std::vector<int> usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) {
        fail_errno("cannot read the processor affinity");
    }
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set)) {
            cores.push_back(core);
        }
    }
    return cores;
}

bool try_pin(pid_t thread, int core) noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(core), &set);
    return ::sched_setaffinity(thread, sizeof set, &set) == 0;
}

/// Processor time of this process and of its children that have been reaped.
double own_time_s() {
    double sum = 0;
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage usage{};
        ::getrusage(who, &usage);
        for (const timeval& t : {usage.ru_utime, usage.ru_stime}) {
            sum += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
        }
    }
    return sum;
}

std::string processor_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with("model name")) {
            const auto colon = line.find(": ");
            return colon == std::string::npos ? line : line.substr(colon + 2);
        }
    }
    return "unknown processor";
}

}  // namespace

core_pair choose_cores(const std::string& list) {
    const std::vector<int> usable = usable_cores();
    if (list.empty()) {
        return {usable.front(), usable.size() > 1 ? usable[1] : usable.front()};
    }
    const std::vector<std::size_t> wanted = parse_numbers("--cores", list, 0, CPU_SETSIZE - 1);
    if (wanted.size() != 2) {
        throw failure("--cores wants two core numbers, as in 0,1; got '" + list + "'");
    }
    for (const std::size_t core : wanted) {
        if (std::find(usable.begin(), usable.end(), static_cast<int>(core)) == usable.end()) {
            throw failure("--cores: this process may not run on core " + std::to_string(core));
        }
    }
    return {static_cast<int>(wanted[0]), static_cast<int>(wanted[1])};
}

void pin_process(pid_t process, int core) {
    if (!try_pin(process, core)) {
        fail_errno("cannot pin process " + std::to_string(process) + " to core " +
                   std::to_string(core));
    }
    // Helper threads may end while the directory is read, and the kernel's own may refuse.
    const std::string tasks =
        "/proc/" + (process == 0 ? std::string("self") : std::to_string(process)) + "/task";
    std::error_code ignored;
    for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
        try_pin(static_cast<pid_t>(std::atoi(task.path().filename().c_str())), core);
    }
}

void pin_thread(int core) {
    if (!try_pin(0, core)) {
        fail_errno("cannot pin a thread to core " + std::to_string(core));
    }
}

void run_in_real_time() {
    sched_param parameters{};
    parameters.sched_priority = 1;
    if (::sched_setscheduler(0, SCHED_RR, &parameters) != 0) {
        fail_errno("--realtime needs root, or CAP_SYS_NICE");
    }
}

void need_descriptors(std::size_t needed) {
    rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail_errno("cannot read the descriptor limit");
    }
    if (limit.rlim_cur >= needed) {
        return;
    }
    if (limit.rlim_max < needed) {
        throw failure("this run needs " + std::to_string(needed) +
                      " file descriptors a process and the hard limit is " +
                      std::to_string(limit.rlim_max) +
                      ": use fewer --connections, or raise the limit (ulimit -Hn, as root)");
    }
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail_errno("cannot raise the descriptor limit");
    }
}

disturbance::disturbance(const core_pair& cores)
    : cores_(cores),
      start_busy_s_(cores_busy_s()),
      start_own_s_(own_time_s()),
      start_ns_(now_ns()) {}

std::string disturbance::report() const {
    const double elapsed_s = static_cast<double>(now_ns() - start_ns_) * 1e-9;
    const double all_s = elapsed_s * (cores_.apart() ? 2 : 1);
    const double others_s = (cores_busy_s() - start_busy_s_) - (own_time_s() - start_own_s_);
    const int percent = all_s > 0 ? static_cast<int>(100 * std::max(others_s, 0.0) / all_s) : 0;
    return "meanwhile " + std::to_string(percent) +
           " % of the cores' time went to other programs and guests" +
           (percent > 10 ? ": distrust latencies, and throughput" : "");
}

double disturbance::cores_busy_s() const {
    const double ticks_per_s = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const std::string names[] = {"cpu" + std::to_string(cores_.server),
                                 "cpu" + std::to_string(cores_.load)};
    std::ifstream file("/proc/stat");
    double ticks = 0;
    for (std::string line; std::getline(file, line);) {
        std::istringstream in(line);
        std::string name;
        double user = 0, nice = 0, system = 0, idle = 0, wait = 0, hard = 0, soft = 0, steal = 0;
        in >> name >> user >> nice >> system >> idle >> wait >> hard >> soft >> steal;
        if (name == names[0] || name == names[1]) {
            ticks += user + nice + system + hard + soft + steal;
        }
    }
    return ticks / ticks_per_s;
}

std::string describe_machine() {
    utsname name;
    ::uname(&name);
    return std::string(name.sysname) + " " + name.release + ", " + processor_name() + ", " +
           std::to_string(std::thread::hardware_concurrency()) + " cores, " +
#if defined(__clang__)
           "clang " __clang_version__;
#else
           "g++ " __VERSION__;
#endif
}

}  // namespace bench
