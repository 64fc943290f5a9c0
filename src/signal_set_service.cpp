/// Signals: a handler writes their numbers into a pipe, which every context with a wait watches.
///
/// Whoever finds the pipe filled passes its signals on to the sets of all contexts. A context without
/// a wait does not watch; what comes meanwhile is fetched by the next call that concerns signals.

#include <rung/detail/signal_set_service.hpp>

#include <algorithm>
#include <utility>

#include "scheduler.hpp"
#include "signal_table.hpp"

namespace rung::detail {

using boost::asio::execution_context;
using error_code = boost::system::error_code;

execution_context::id signal_watcher::id;

signal_watcher::signal_watcher(execution_context& c)
    : service(c), engine_(executor_access::engine_of(static_cast<io_context&>(c).get_executor())) {
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    next = std::exchange(t.watchers, this);
}

signal_watcher::~signal_watcher() {
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    signal_watcher** at = &t.watchers;
    while (*at != this) {
        at = &(*at)->next;
    }
    *at = next;
}

void signal_watcher::begin_wait() noexcept {
    engine::work_started(engine_);
    ++waits_;
    start_watch();
}

void signal_watcher::end(signal_operation* op, int number) noexcept {
    finish(op, number);
    engine::work_finished(engine_);
    if (--waits_ == 0 && watch_) {
        engine::cancel_all(engine_, watched_);
    }
}

void signal_watcher::finish(signal_operation* op, int number) noexcept {
    op->unlink_slot();
    op->set = nullptr;
    op->number = number;
    engine::post(engine_, op);
}

void signal_watcher::start_watch() noexcept {
    if (!watch_) {
        watch_.emplace(*this, signal_table::get().read_end);
        engine::start(engine_, &*watch_, &watched_, nullptr);
    }
}

void signal_watcher::watch_ended(bool running) {
    engine::count_as(engine_, 0);
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    watch_.reset();
    if (running) {
        t.deliver();
        if (waits_ != 0) {
            start_watch();
        }
    }
}

/// Destroys the waits, whose handlers may own sets.
void signal_watcher::shutdown() {
    signal_table& t = signal_table::get();
    intrusive_queue<signal_operation> all;
    {
        const std::lock_guard lock(t.mutex);
        over_ = true;
        for (signal_set_state* set = t.sets; set != nullptr; set = set->next) {
            while (set->watcher == this && !set->waits.empty()) {
                signal_operation* const op = set->waits.pop();
                op->unlink_slot();
                all.push(op);
            }
        }
    }
    while (signal_operation* const op = all.pop()) {
        op->destroy();
    }
}

namespace {

auto position(signal_set_state& set, int number) {
    return std::lower_bound(set.entries.begin(), set.entries.end(), number,
                            [](const auto& e, int n) { return e.number < n; });
}

}  // namespace

namespace signals {

void construct(scheduler& s, signal_set_state& set) {
    set.watcher =
        &boost::asio::use_service<signal_watcher>(static_cast<execution_context&>(s.context()));
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    if (t.sets == nullptr) {
        t.open();
    } else {
        t.sets->previous = &set;
    }
    set.next = std::exchange(t.sets, &set);
}

void destroy(signal_set_state& set) noexcept {
    clear(set);
    cancel_all(set);
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    (set.previous == nullptr ? t.sets : set.previous->next) = set.next;
    if (set.next != nullptr) {
        set.next->previous = set.previous;
    }
    if (t.sets == nullptr) {
        t.close();
    }
}

error_code add(signal_set_state& set, int number, int flags) {
    if (number < 0 || number >= NSIG) {
        return boost::asio::error::invalid_argument;
    }
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    t.deliver();  // what came before is none of the set's
    const auto at = position(set, number);
    if (at != set.entries.end() && at->number == number) {
        return {};
    }
    const auto added = set.entries.insert(at, {number, 0});
    const error_code ec = t.catch_for(number, flags);
    if (ec) {
        set.entries.erase(added);
    }
    return ec;
}

error_code remove(signal_set_state& set, int number) {
    if (number < 0 || number >= NSIG) {
        return boost::asio::error::invalid_argument;
    }
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    t.deliver();
    const auto at = position(set, number);
    if (at == set.entries.end() || at->number != number) {
        return {};
    }
    const error_code ec = t.forget(number);
    if (!ec) {
        set.entries.erase(at);
    }
    return ec;
}

error_code clear(signal_set_state& set) {
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    t.deliver();
    while (!set.entries.empty()) {
        if (const error_code ec = t.forget(set.entries.back().number)) {
            return ec;
        }
        set.entries.pop_back();
    }
    return {};
}

void wait(signal_set_state& set, signal_operation* op, cancel_link* link) noexcept {
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    t.deliver();
    const auto came = std::find_if(set.entries.begin(), set.entries.end(),
                                   [](const auto& e) { return e.undelivered != 0; });
    if (came != set.entries.end()) {
        --came->undelivered;
        set.watcher->finish(op, came->number);
        return;
    }
    if (set.watcher->over()) {
        set.watcher->finish(op, 0);
        return;
    }
    if (link != nullptr) {
        link->op.store(op, std::memory_order_release);
        op->link = link;
    }
    op->set = &set;
    set.waits.push(op);
    set.watcher->begin_wait();
}

void cancel_all(signal_set_state& set) noexcept {
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    while (signal_operation* const op = set.waits.pop()) {
        set.watcher->end(op, 0);
    }
}

void cancel(cancel_link& link) noexcept {
    signal_table& t = signal_table::get();
    const std::lock_guard lock(t.mutex);
    auto* const op = static_cast<signal_operation*>(link.op.load(std::memory_order_relaxed));
    if (op != nullptr) {
        signal_set_state& set = *op->set;
        set.waits.remove(op);
        set.watcher->end(op, 0);
    }
}

void unlink(cancel_link& link) noexcept {
    const std::lock_guard lock(signal_table::get().mutex);
    if (linked_operation* const op = link.op.load(std::memory_order_relaxed)) {
        op->unlink_slot();
    }
}

}  // namespace signals

}  // namespace rung::detail
