/// Signals: a handler writes their numbers into a pipe, which every context with a wait watches.
///
/// Whoever finds the pipe filled passes its signals on to the sets of all contexts. A context without
/// a wait does not watch; what comes meanwhile is fetched by the next call that concerns signals.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/execution_context.hpp>
#include <cerrno>
#include <mutex>
#include <optional>
#include <rung/detail/signal_set_service.hpp>
#include <utility>

#include "scheduler.hpp"

namespace rung::detail {

namespace {

using error_code = boost::system::error_code;
using boost::asio::execution_context;

static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may use no lock");
// For the signal handler.
std::atomic<int> pipe_end{-1};
std::atomic<int> handlers_running{0};

extern "C" {
static void rung_note_signal(int number) {
    const int saved_errno = errno;
    ++handlers_running;
    // Where the pipe is full, 16,000 signals wait, and one more is lost.
    static_cast<void>(::write(pipe_end, &number, sizeof number) == sizeof number);
    --handlers_running;
    errno = saved_errno;
}
}

error_code last_error() { return {errno, boost::system::system_category()}; }

error_code catch_signal(int number, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    ::sigfillset(&action.sa_mask);
    action.sa_flags = flags;
    return ::sigaction(number, &action, nullptr) == -1 ? last_error() : error_code{};
}

/// What the process has caught. Guarded by its mutex.
struct signal_table {
    struct caught {
        std::size_t sets = 0;  // that have the signal
        int flags = signals::no_flags_wanted;
    };

    static signal_table& get() {
        static signal_table& table = *new signal_table;  // outlives every static object
        return table;
    }

    void open();
    void close() noexcept;
    /// Passes on what has come.
    void deliver();
    void deliver(int number);
    error_code forget(int number);

    std::mutex mutex;
    int read_end = -1;
    std::array<caught, NSIG> table{};
    signal_set_state* sets = nullptr;
    signal_watcher* watchers = nullptr;

private:
    signal_table();
    void reopen() noexcept;
};

}  // namespace

/// A context's view of the pipe.
class signal_watcher final : public execution_context::service {
public:
    using key_type = signal_watcher;
    static execution_context::id id;

    explicit signal_watcher(execution_context& c);
    ~signal_watcher() override;

    // With the table locked.
    bool over() const noexcept { return over_; }
    void begin_wait() noexcept;
    /// Ends a wait that has begun.
    void end(signal_operation* op, int number) noexcept;
    /// Hands the result, 0 for none, to the handler.
    void finish(signal_operation* op, int number) noexcept;
    void detach() noexcept { engine::detach(engine_, watched_); }

    signal_watcher* next = nullptr;

private:
    /// A wait for the pipe to be filled. It keeps the context at work while there are waits.
    class watch : public io_operation {
    public:
        watch(signal_watcher& w, int descriptor_to_watch) noexcept
            : io_operation(&watch::finish, level::normal), watcher_(w) {
            kind = io_kind::wait;
            events = POLLIN;
            descriptor = descriptor_to_watch;
        }

    private:
        static void finish(operation* base, action what) {
            static_cast<watch*>(base)->watcher_.watch_ended(what == action::complete);
        }
        signal_watcher& watcher_;
    };

    void shutdown() override;
    void watch_ended(bool running);
    void start_watch() noexcept;

    scheduler& engine_;
    std::optional<watch> watch_;
    io_list watched_;
    std::size_t waits_ = 0;
    bool over_ = false;  // the context is being destroyed
};

execution_context::id signal_watcher::id;

namespace {

signal_table::signal_table() {
    ::pthread_atfork([] { get().mutex.lock(); }, [] { get().mutex.unlock(); },
                     [] {
                         get().reopen();
                         get().mutex.unlock();
                     });
}

void signal_table::open() {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == -1) {
        throw boost::system::system_error(
            last_error(), "rung: no descriptors for signals; raise RLIMIT_NOFILE (ulimit -n)");
    }
    read_end = ends[0];
    pipe_end = ends[1];
}

void signal_table::close() noexcept {
    for (signal_watcher* w = watchers; w != nullptr; w = w->next) {
        w->detach();
    }
    const int write_end = pipe_end.exchange(-1);
    while (handlers_running != 0) {
    }
    ::close(write_end);
    ::close(std::exchange(read_end, -1));
}

/// Parts a child process from its parent's pipe. In the child of a fork.
void signal_table::reopen() noexcept {
    int ends[2];
    if (read_end != -1 && ::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0) {
        ::dup3(ends[0], read_end, O_CLOEXEC);
        ::dup3(ends[1], pipe_end, O_CLOEXEC);
        ::close(ends[0]);
        ::close(ends[1]);
    }
}

void signal_table::deliver() {
    int number = 0;
    while (::read(read_end, &number, sizeof number) == sizeof number) {
        deliver(number);
    }
}

void signal_table::deliver(int number) {
    for (signal_set_state* set = sets; set != nullptr; set = set->next) {
        for (auto& e : set->entries) {
            if (e.number != number) {
                continue;
            }
            if (set->waits.empty()) {
                ++e.undelivered;
            }
            while (signal_operation* const op = set->waits.pop()) {
                set->watcher->end(op, number);
            }
        }
    }
}

/// One set less has the signal.
error_code signal_table::forget(int number) {
    caught& c = table[static_cast<std::size_t>(number)];
    if (c.sets == 1) {
        if (const error_code ec = catch_signal(number, SIG_DFL, 0)) {
            return ec;
        }
        c.flags = signals::no_flags_wanted;
    }
    --c.sets;
    return {};
}

auto position(signal_set_state& set, int number) {
    return std::lower_bound(set.entries.begin(), set.entries.end(), number,
                            [](const auto& e, int n) { return e.number < n; });
}

}  // namespace

signal_watcher::signal_watcher(execution_context& c)
    : service(c),
      engine_(executor_access::engine_of(static_cast<io_context&>(c).get_executor())) {
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
    engine::do_not_count(engine_);
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

namespace signals {

void construct(scheduler& s, signal_set_state& set) {
    set.watcher = &boost::asio::use_service<signal_watcher>(
        static_cast<execution_context&>(s.context()));
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
    auto& c = t.table[static_cast<std::size_t>(number)];
    const bool changes = flags != no_flags_wanted && flags != c.flags;
    error_code ec;
    if (c.sets != 0 && changes && c.flags != no_flags_wanted) {
        ec = boost::asio::error::invalid_argument;
    } else if (c.sets == 0 || changes) {
        ec = catch_signal(number, &rung_note_signal, flags == no_flags_wanted ? 0 : flags);
    }
    if (ec) {
        set.entries.erase(added);
        return ec;
    }
    c.flags = c.sets == 0 || changes ? flags : c.flags;
    ++c.sets;
    return {};
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
