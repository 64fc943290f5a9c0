#include <rung/detail/settling_mutex.hpp>
#include <rung/detail/thread_state.hpp>

namespace rung::detail {

basic_biased_mutex<object_locks>::held settling_mutex::lock_without_habit() noexcept {
    const biased::held how = mutex_.lock();
    const void* const here = &this_thread_state;
    if (borrows_seen_ != mutex_.borrows()) {
        borrows_seen_ = mutex_.borrows();
        mutex_.disown();
        times_ = 0;
    }
    times_ = last_ == here ? times_ + 1 : 1;
    last_ = here;
    if (times_ == habit) {
        mutex_.own();
    }
    return how;
}

}  // namespace rung::detail
