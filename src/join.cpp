#include <boost/assert.hpp>
#include <rung/detail/join.hpp>

namespace rung::detail {

join_watcher::join_watcher() noexcept
    : operation_watcher(wants::end, true, &join::told,
                        [](operation*, action) { BOOST_ASSERT(false); }) {}

void join::begin(operation_core& outcome, join_watcher* watchers, std::size_t count) {
    watchers_ = watchers;
    count_ = count;
    // One more, so that the join lives until it has begun to watch all of them.
    left_.store(count + 1, std::memory_order_relaxed);
    outcome.set_first_hook(*this);
    for (std::size_t i = 0; i < count; ++i) {
        watchers[i].owner = this;
        if (!core_at(i).add(watchers[i])) {
            ended(i, false);
        }
    }
    leave(nobody);
}

void join::told(operation_watcher* w, operation_watcher::event) noexcept {
    join& self = *static_cast<join*>(static_cast<join_watcher*>(w)->owner);
    self.ended(static_cast<std::size_t>(static_cast<join_watcher*>(w) - self.watchers_), true);
}

void join::ended(std::size_t i, bool now) noexcept {
    std::size_t expected = nobody;
    if (first_.load(std::memory_order_relaxed) == nobody) {
        first_.compare_exchange_strong(expected, i, std::memory_order_relaxed);
    }
    const bool done = core_at(i).state() == operation_state::done;
    expected = nobody;
    if (done == (rule_ == rule::any) &&
        decisive_.compare_exchange_strong(expected, i, std::memory_order_relaxed)) {
        cancel_all();
    }
    leave(now ? i : nobody);
}

void join::leave(std::size_t i) noexcept {
    // Releases what this end brought; the last acquires what all of them did.
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        told_last_ = i;
        complete();
    }
}

void join::cancel_all() noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
        core_at(i).cancel();
    }
}

void join::acted(cancel_hook* hook, action what) noexcept {
    if (what == action::run) {
        static_cast<join*>(hook)->cancel_all();
    }
}

}  // namespace rung::detail
