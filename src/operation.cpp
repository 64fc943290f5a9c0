#include <algorithm>
#include <bit>
#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>
#include <mutex>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/monotonic.hpp>
#include <rung/detail/operation_core.hpp>
#include <rung/detail/thread_state.hpp>
#include <rung/error.hpp>

#include "futex.hpp"

namespace rung {

const char* to_string(operation_state s) noexcept {
    switch (s) {
        case operation_state::pending:
            return "pending";
        case operation_state::running:
            return "running";
        case operation_state::done:
            return "done";
        case operation_state::failed:
            return "failed";
        case operation_state::cancelled:
            return "cancelled";
    }
    return "unknown";
}

namespace detail {

namespace {

/// The half of the word that holds the state.
const std::atomic<std::uint32_t>* low_half(const std::atomic<std::uint64_t>& word) noexcept {
    static_assert(std::endian::native == std::endian::little);
    static_assert(sizeof(word) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);
    return reinterpret_cast<const std::atomic<std::uint32_t>*>(&word);
}

}  // namespace

bool operation_core::add(operation_watcher& w, const std::uint32_t* seen) noexcept {
    const std::uint64_t wish = w.what == operation_watcher::wants::end ? end_bit : change_bit;
    const std::lock_guard lock(lock_);
    // Whoever changes the state after this sees the wish, and takes the lock before it tells.
    const std::uint64_t word = word_.fetch_or(wish, std::memory_order_acq_rel);
    w.since = changes_of(word);
    if (is_final(state_of(word)) || (seen != nullptr && *seen != w.since)) {
        part(w);
        return false;
    }
    w.before = last_;
    (last_ == nullptr ? first_ : last_->after) = &w;
    last_ = &w;
    w.listed = true;
    return true;
}

bool operation_core::remove(operation_watcher& w) noexcept {
    const std::lock_guard lock(lock_);
    if (!w.listed) {
        return false;
    }
    unlink(w);
    return true;
}

void operation_core::unlink(operation_watcher& w) noexcept {
    (w.before == nullptr ? first_ : w.before->after) = w.after;
    (w.after == nullptr ? last_ : w.after->before) = w.before;
    w.before = nullptr;
    w.after = nullptr;
    w.listed = false;
    part(w);
}

/// Parts the watcher from its slot, whose requests then find nothing. Under the core's lock.
void operation_core::part(operation_watcher& w) noexcept {
    if (w.link == nullptr) {
        return;
    }
    watch_link& link = *std::exchange(w.link, nullptr);
    link.watcher_ = nullptr;
    const std::lock_guard lock(link.lock_);
    link.core_ = nullptr;  // the link may be gone once it is unlocked
}

/// The core behind the link with a reference to it, or null.
operation_core* watch_link::core_acquired() noexcept {
    const std::lock_guard lock(lock_);
    if (core_ != nullptr) {
        core_->add_reference();
    }
    return core_;
}

watch_link::~watch_link() {
    if (operation_core* const core = core_acquired()) {
        core->part(*this);
        core->release();
    }
}

void watch_link::dismiss() noexcept {
    if (operation_core* const core = core_acquired()) {
        core->dismiss(*this);
        core->release();
    }
}

void operation_core::dismiss(watch_link& link) noexcept {
    operation_watcher* w = nullptr;
    {
        const std::lock_guard lock(lock_);
        w = link.watcher_;
        if (w == nullptr) {
            return;
        }
        unlink(*w);
    }
    w->notify(w, operation_watcher::event::dismissed);
}

void operation_core::part(watch_link& link) noexcept {
    const std::lock_guard lock(lock_);
    if (link.watcher_ != nullptr) {
        part(*link.watcher_);
    }
}

/// Takes those who do not know of the change yet. Under the core's lock.
void operation_core::gather(std::uint32_t number, watchers_to_tell& told) noexcept {
    bool interested = false;
    operation_watcher* next = nullptr;
    for (operation_watcher* w = first_; w != nullptr; w = next) {
        next = w->after;
        if (w->what == operation_watcher::wants::end) {
            continue;
        }
        // One that came after the change knows of it.
        const bool news = static_cast<std::int32_t>(w->since - number) < 0;
        interested |= !news || w->what == operation_watcher::wants::every_change;
        if (!news) {
            continue;
        }
        if (w->what == operation_watcher::wants::next_change) {
            unlink(*w);
        } else {
            w->since = number;
            w->notify(w, operation_watcher::event::hold);
        }
        (w->runs_inside ? told.inside : told.elsewhere).push(w);
    }
    if (!interested) {
        word_.fetch_and(~change_bit, std::memory_order_relaxed);
    }
}

/// Tells of a change, and then of those that its watchers made meanwhile, one after the other: so
/// no function is called within itself, and nobody is in two of these lists.
void operation_core::tell_changed(std::uint32_t number) noexcept {
    std::unique_lock lock(lock_);
    if (telling_ != 0) {
        return;  // this change is a watcher's, and the call around us goes on with it
    }
    telling_ = 1;
    add_reference();  // a watcher may end the operation, and drop it
    std::uint64_t word = 0;
    for (std::uint32_t last = number + 1; number != last; ++number) {
        watchers_to_tell told;
        gather(number, told);
        lock.unlock();
        for (auto* const queue : {&told.elsewhere, &told.inside}) {
            while (operation_watcher* const w = queue->pop()) {
                const bool stays = w->what == operation_watcher::wants::every_change;
                w->notify(w, operation_watcher::event::changed);
                if (stays) {
                    w->notify(w, operation_watcher::event::let_go);
                }
            }
        }
        lock.lock();
        word = word_.load(std::memory_order_acquire);
        last = changes_of(word) + (is_final(state_of(word)) ? 0 : 1);
    }
    telling_ = 0;
    if (is_final(state_of(word))) {
        tell_watchers_of_end(lock);
    } else {
        lock.unlock();
    }
    release();
}

void operation_core::tell_end(std::uint64_t before) noexcept {
    if ((before & sleeper_bit) != 0) {
        futex_wake(low_half(word_));
    }
    if ((before & hook_bit) != 0) {
        drop_hook();
    }
    if ((before & (end_bit | change_bit)) == 0) {
        return;
    }
    std::unique_lock lock(lock_);
    if (telling_ == 0) {  // else it is the end that a watcher brought about
        tell_watchers_of_end(lock);
    }
}

void operation_core::tell_watchers_of_end(std::unique_lock<short_lock>& lock) noexcept {
    intrusive_queue<operation_watcher> told;
    for (operation_watcher* w = first_; w != nullptr; w = w->after) {
        w->listed = false;
        part(*w);
        told.push(w);
    }
    first_ = nullptr;
    last_ = nullptr;
    lock.unlock();
    while (operation_watcher* const w = told.pop()) {
        w->notify(w, operation_watcher::event::ended);
    }
}

void operation_core::abandon() noexcept {
    error_ = rung::error::abandoned;
    finish(operation_state::failed);
}

void operation_core::set_exception(std::exception_ptr e) noexcept {
    exception_ = std::move(e);
    try {
        std::rethrow_exception(exception_);
    } catch (const boost::system::system_error& thrown) {
        error_ = thrown.code();
    } catch (...) {
        error_ = rung::error::exception;
    }
}

bool operation_core::wait(std::int64_t deadline_ns, std::int64_t spin_ns) const {
    if (is_final(state())) {
        return true;
    }
    if (this_thread_state != nullptr) {
        throw boost::system::system_error(
            boost::system::errc::make_error_code(
                boost::system::errc::resource_deadlock_would_occur),
            "rung::operation: a thread that runs a context must not block; use async_wait, or wait "
            "on another thread");
    }
    if (spin_ns > 0) {
        const std::int64_t until_ns = std::min(deadline_ns, detail::monotonic_now_ns() + spin_ns);
        constexpr int looks = 64;  // at the state for one at the clock
        do {
            for (int i = 0; i < looks; ++i) {
                if (is_final(state())) {
                    return true;
                }
            }
        } while (detail::monotonic_now_ns() < until_ns);
    }
    std::uint64_t word = word_.load(std::memory_order_acquire);
    while (!is_final(state_of(word))) {
        if ((word & sleeper_bit) == 0) {
            word = word_.fetch_or(sleeper_bit, std::memory_order_acq_rel) | sleeper_bit;
            continue;
        }
        if (!futex_wait(low_half(word_), static_cast<std::uint32_t>(word), deadline_ns)) {
            return is_final(state());
        }
        word = word_.load(std::memory_order_acquire);
    }
    return true;
}

boost::system::error_code operation_core::error() const noexcept {
    switch (state()) {
        case operation_state::failed:
            return error_;
        case operation_state::cancelled:
            return boost::asio::error::operation_aborted;
        default:
            return {};
    }
}

boost::system::error_code operation_core::reason() const noexcept {
    return is_final(state()) ? error_ : boost::system::error_code{};
}

void operation_core::throw_error() const {
    if (state() == operation_state::done) {
        return;
    }
    if (exception_ != nullptr) {
        std::rethrow_exception(exception_);
    }
    throw boost::system::system_error(error(), "rung::operation");
}

}  // namespace detail

}  // namespace rung
