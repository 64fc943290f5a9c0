// Two threads on two cores. Left alone, the scheduler now and then puts a thread and the one that
// wakes it on the same core, and the figure becomes that of another situation.
#pragma once

#include <sched.h>

namespace micro {

// Keeps the thread that makes it on one core until the end of the scope, and a second thread, which
// asks for it, on another. Where the process has only one core, does nothing.
class two_cores {
public:
    two_cores() {
        if (sched_getaffinity(0, sizeof all_, &all_) != 0)
            return;
        int found = 0;
        for (unsigned core = 0; core < CPU_SETSIZE && found < 2; ++core)
            if (CPU_ISSET(core, &all_))
                cores_[found++] = core;
        enabled_ = found == 2;
        stay_on(0);
    }
    two_cores(const two_cores&) = delete;
    two_cores& operator=(const two_cores&) = delete;
    ~two_cores() {
        if (enabled_)
            sched_setaffinity(0, sizeof all_, &all_);
    }

    // Called by the second thread.
    void move_to_second() const { stay_on(1); }

private:
    void stay_on(int which) const {
        if (!enabled_)
            return;
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(cores_[which], &only);
        sched_setaffinity(0, sizeof only, &only);
    }

    cpu_set_t all_{};
    unsigned cores_[2] = {};
    bool enabled_ = false;
};

}  // namespace micro
