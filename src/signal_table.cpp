#include "signal_table.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace rung::detail {

namespace {

using error_code = boost::system::error_code;

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

}  // namespace

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

error_code signal_table::catch_for(int number, int flags) {
    caught& c = table[static_cast<std::size_t>(number)];
    const bool changes = flags != signals::no_flags_wanted && flags != c.flags;
    if (c.sets != 0 && changes && c.flags != signals::no_flags_wanted) {
        return boost::asio::error::invalid_argument;
    }
    if (c.sets == 0 || changes) {
        const int used = flags == signals::no_flags_wanted ? 0 : flags;
        if (const error_code ec = catch_signal(number, &rung_note_signal, used)) {
            return ec;
        }
        c.flags = flags;
    }
    ++c.sets;
    return {};
}

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

}  // namespace rung::detail
