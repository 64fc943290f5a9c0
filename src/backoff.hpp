#pragma once

#include <time.h>

#include <algorithm>
#include <thread>

namespace rung::detail {

/// Waits, a little longer each time, for a thread that is about to get on and does not tell when.
///
/// It yields at first. A thread of real-time priority yields to no other of the same core, so that it
/// sleeps after a few times.
class backoff {
public:
    void wait() noexcept {
        constexpr int yields = 16;
        constexpr long longest_ns = 1'000'000;
        if (turns_ < yields) {
            ++turns_;
            std::this_thread::yield();
            return;
        }
        const timespec pause{.tv_sec = 0, .tv_nsec = pause_ns_};
        ::nanosleep(&pause, nullptr);
        pause_ns_ = std::min(2 * pause_ns_, longest_ns);
    }

private:
    int turns_ = 0;
    long pause_ns_ = 20'000;
};

}  // namespace rung::detail
