#include "biased_mutex.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

namespace rung::detail {

namespace {

int membarrier(int command) noexcept {
    return static_cast<int>(::syscall(SYS_membarrier, command, 0, 0));
}

/// Whether this process may ask for barriers; asked once.
bool barriers_allowed() noexcept {
#if defined(RUNG_TSAN)
    return false;
#else
    static const bool allowed = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
    return allowed;
#endif
}

}  // namespace

bool biased_mutex::own() noexcept {
    owned_ = barriers_allowed();
    return owned_;
}

void biased_mutex::wait_for_mutex() noexcept {
    inside_.store(0, std::memory_order_release);  // pairs with the wait in revoke()
    mutex_.lock();
    owner_holds_mutex_ = true;
}

void biased_mutex::revoke() noexcept {
    constexpr int spins_before_yield = 128;
    revoked_.store(1, std::memory_order_relaxed);
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);  // pairs with the fence in lock_owner()
    for (int i = 0; inside_.load(std::memory_order_acquire) != 0; ++i) {
        if (i >= spins_before_yield) {
            std::this_thread::yield();  // the owner was preempted inside
        }
    }
}

}  // namespace rung::detail
