#pragma once

#include <linux/io_uring.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ring.hpp"

namespace test {

/// What a test shares with its backend, which the ring owns: the script, and what has happened.
///
/// Entries stay in flight until the test completes them, but for those that the kernel would end at
/// once, too: cancels, what was made nothing of, and the poll by which other threads wake the loop.
/// A wait that nothing ends is bounded: it returns as if a signal had come, and when that has
/// happened too often the process is ended with a message.
struct script {
    using entries = std::vector<io_uring_sqe>;

    // What shall happen.
    std::function<void(const entries& taken)> on_enter;  // for each enter, with what it took
    std::function<void()> on_wait;                       // for each wait that finds no completion
    unsigned accept_at_most = 1U << 30;                  // entries taken in one enter
    std::deque<int> failures;                            // negated errno of the next enters
    int always_fail = 0;                                 // and of all after those
    bool ignore_cancels = false;                         // the operation goes on

    // What has happened.
    entries in_flight;
    entries history;       // operations in the order in which they were taken
    entries control;       // cancels and the wake-up, likewise
    unsigned cancels = 0;  // entries that cancel one operation or all of them
    unsigned enters = 0;
    unsigned waits = 0;  // of those, the ones that wait for a completion
    std::size_t most_in_flight = 0;

    /// Ends an operation. It shows with the end of the enter that runs, or of the next one.
    void complete(std::uint64_t tag, std::int32_t result, std::uint32_t flags = 0) {
        ready.push_back({.user_data = tag, .res = result, .flags = flags});
        if ((flags & IORING_CQE_F_MORE) == 0) {
            std::erase_if(in_flight, [&](auto& e) { return e.user_data == tag; });
        }
    }
    void complete(const io_uring_sqe& e, std::int32_t result) { complete(e.user_data, result); }

    /// Ends everything that is in flight.
    void complete_all(std::int32_t result) {
        for (const io_uring_sqe& e : std::exchange(in_flight, {})) {
            ready.push_back({.user_data = e.user_data, .res = result, .flags = 0});
        }
    }

    /// Ends the poll by which other threads wake the loop, as the kernel may at any time.
    void end_wake_ups() {
        ready.push_back({.user_data = rung::detail::ring::wake_tag, .res = 1, .flags = 0});
        wake_ups_ended = true;
    }

    /// Brings the completions at once, as the kernel may between two enters.
    void deliver() { show_completions(); }

    /// Sets the flag by which the kernel says that an enter would bring completions.
    void announce_work() { sq_flags |= IORING_SQ_TASKRUN; }

private:
    friend class scripted_backend;

    void show_completions();

    std::deque<io_uring_cqe> ready;
    bool wake_ups_ended = false;
    unsigned idle = 0;  // waits in a row that ended without a completion

    // The two queues.
    entries sqes;
    std::vector<io_uring_cqe> cqes;
    unsigned sq_head = 0;
    unsigned sq_tail = 0;
    unsigned sq_flags = 0;
    unsigned cq_head = 0;
    unsigned cq_tail = 0;
};

inline void script::show_completions() {
    while (!ready.empty() && cq_tail - cq_head < cqes.size()) {
        cqes[cq_tail & (cqes.size() - 1)] = ready.front();
        ready.pop_front();
        std::atomic_ref(cq_tail).store(cq_tail + 1, std::memory_order_release);
    }
    sq_flags = ready.empty() ? 0 : IORING_SQ_CQ_OVERFLOW;
}

/// A backend without a kernel: rings in ordinary memory, completions from a script.
class scripted_backend final : public rung::detail::ring_backend {
public:
    scripted_backend(std::shared_ptr<script> s, unsigned entries) : script_(std::move(s)) {
        script_->sqes.resize(entries);
        script_->cqes.resize(4UL * entries);
    }
    ~scripted_backend() override { watch_wake_ups(-1); }

    rung::detail::ring_memory memory() noexcept override {
        script& s = *script_;
        return {.sq_head = &s.sq_head,
                .sq_tail = &s.sq_tail,
                .sq_flags = &s.sq_flags,
                .cq_head = &s.cq_head,
                .cq_tail = &s.cq_tail,
                .sqes = s.sqes.data(),
                .cqes = s.cqes.data(),
                .sq_entries = static_cast<unsigned>(s.sqes.size()),
                .cq_entries = static_cast<unsigned>(s.cqes.size())};
    }
    rung::backend kind() const noexcept override { return rung::backend::io_uring; }

    int enter(unsigned to_submit, unsigned min_complete, bool,
              const timespec* timeout) noexcept override {
        script& s = *script_;
        ++s.enters;
        s.waits += min_complete != 0 ? 1 : 0;
        if (!s.failures.empty() || s.always_fail != 0) {
            const int error = s.failures.empty() ? s.always_fail : s.failures.front();
            if (!s.failures.empty()) {
                s.failures.pop_front();
            }
            limit_idleness();
            return error;
        }
        const script::entries taken = take(to_submit);
        s.most_in_flight = std::max(s.most_in_flight, s.in_flight.size());
        if (s.on_enter) {
            s.on_enter(taken);
        }
        s.show_completions();
        if (min_complete != 0 && s.cq_tail == s.cq_head && s.on_wait) {
            s.on_wait();
            s.show_completions();
        }
        if (min_complete != 0 && s.cq_tail == s.cq_head) {
            const int error = wait(timeout);
            return taken.empty() ? error : static_cast<int>(taken.size());
        }
        s.idle = 0;
        return static_cast<int>(taken.size());
    }

private:
    script::entries take(unsigned to_submit) {
        script& s = *script_;
        script::entries taken;
        for (unsigned n = 0; n < to_submit && n < s.accept_at_most; ++n) {
            const io_uring_sqe e = s.sqes[s.sq_head++ & (s.sqes.size() - 1)];
            if (e.opcode == IORING_OP_ASYNC_CANCEL) {
                s.control.push_back(e);
                cancel(e);
            } else if (e.user_data == rung::detail::ring::wake_tag) {
                s.control.push_back(e);
                watch_wake_ups(e.fd);
            } else if (e.user_data == rung::detail::ring::ignored_tag) {
                s.complete(e, 0);
            } else {
                s.in_flight.push_back(e);
                s.history.push_back(e);
                taken.push_back(e);
            }
        }
        return taken;
    }

    void cancel(const io_uring_sqe& e) {
        script& s = *script_;
        ++s.cancels;
        const bool all = (e.cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0;
        if (all && wake_watch_ != -1) {
            watch_wake_ups(-1);
            s.complete(rung::detail::ring::wake_tag, -ECANCELED);
        }
        std::int32_t found = 0;
        for (const io_uring_sqe& target : script::entries(s.in_flight)) {
            if (!s.ignore_cancels && (all || target.user_data == e.addr)) {
                s.complete(target, -ECANCELED);
                ++found;
            }
        }
        if (found == 0 || (e.flags & IOSQE_CQE_SKIP_SUCCESS) == 0) {
            s.complete(e, all ? found : -ENOENT);
        }
    }

    /// Watches a descriptor as the kernel's repeated poll does: for each time that it is written
    /// to.
    void watch_wake_ups(int descriptor) {
        if (wake_watch_ != -1) {
            ::close(std::exchange(wake_watch_, -1));
        }
        if (descriptor != -1) {
            wake_watch_ = ::epoll_create1(EPOLL_CLOEXEC);
            epoll_event e{.events = EPOLLIN | EPOLLET, .data = {}};
            ::epoll_ctl(wake_watch_, EPOLL_CTL_ADD, descriptor, &e);
        }
    }

    /// Waits for another thread's wake-up, for a moment at most.
    int wait(const timespec* timeout) {
        script& s = *script_;
        constexpr int moment_ms = 10;
        int limit_ms = moment_ms;
        if (timeout != nullptr && timeout->tv_sec == 0) {
            limit_ms = std::min(moment_ms, static_cast<int>(timeout->tv_nsec / 1'000'000) + 1);
        }
        if (std::exchange(s.wake_ups_ended, false)) {
            watch_wake_ups(-1);
        }
        epoll_event e{};
        if (wake_watch_ == -1) {
            ::usleep(static_cast<useconds_t>(limit_ms) * 1'000);
        } else if (::epoll_wait(wake_watch_, &e, 1, limit_ms) == 1) {
            s.complete(rung::detail::ring::wake_tag, EPOLLIN, IORING_CQE_F_MORE);
            s.show_completions();
            s.idle = 0;
            return 0;
        }
        if (timeout != nullptr) {
            return -ETIME;
        }
        limit_idleness();
        return -EINTR;
    }

    void limit_idleness() {
        constexpr unsigned limit = 1'000;
        if (++script_->idle > limit) {
            std::fputs("The loop waits for what the script never brings.\n", stderr);
            std::abort();
        }
    }

    std::shared_ptr<script> script_;
    int wake_watch_ = -1;
};

/// A context over a scripted backend.
class scripted_context : public rung::io_context {
public:
    explicit scripted_context(std::shared_ptr<script> s, rung::io_context_options options = {})
        : rung::io_context(
              options, std::make_unique<scripted_backend>(std::move(s), options.ring_entries)) {}
};

}  // namespace test
