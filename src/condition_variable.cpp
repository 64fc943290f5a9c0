#include <rung/condition_variable.hpp>
#include <rung/this_fiber.hpp>
#include <rung/use_fiber.hpp>

namespace rung {

void condition_variable::wait(std::unique_lock<mutex>& lock) {
    if (this_fiber::exists()) {
        detail::check_fiber();  // may throw as well, with the mutex still taken
        try {
            async_wait(*lock.mutex(), use_fiber);
        } catch (const detail::forced_unwind&) {
            lock.release();
            throw;
        }
        return;
    }
    detail::blocked_thread<> here;
    here.after = &lock.mutex()->list_;
    list_.wait(&here);
    lock.mutex()->unlock();
    here.block_or_throw();
}

}  // namespace rung
