#include <liburing.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <rung/error.hpp>
#include <string>
#include <utility>

#include "ring_backend.hpp"

namespace rung::detail {

namespace {

using probe_pointer = std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)>;

/// What a refused set-up means, and what to do about it.
std::string explain_refusal(int error) {
    switch (error) {
        case ENOSYS:
            return "this kernel has no io_uring: Linux 5.19 is needed";
        case EINVAL:
            return "this kernel's io_uring is too old: Linux 5.19 is needed";
        case ENOMEM:
            return "not enough lockable memory for even the smallest ring, 8 KiB, whatever "
                   "io_context_options::ring_entries asks for: raise RLIMIT_MEMLOCK (ulimit -l), "
                   "which counts for all of the user's processes together";
        case EMFILE:
            return "the process is out of descriptors: raise RLIMIT_NOFILE (ulimit -n)";
        case ENFILE:
            return "the system is out of descriptors: raise fs.file-max";
        case EPERM:
        case EACCES: {
            int disabled = 0;
            std::ifstream("/proc/sys/kernel/io_uring_disabled") >> disabled;
            return disabled != 0
                       ? "io_uring is disabled by the sysctl kernel.io_uring_disabled = " +
                             std::to_string(disabled) + ": set it to 0"
                       : std::string(
                             "io_uring is blocked, most likely by a seccomp filter of the "
                             "container: allow io_uring_setup, io_uring_enter and "
                             "io_uring_register");
        }
        default:
            return "the kernel refused an io_uring";
    }
}

[[noreturn]] void refuse(int error) {
    throw boost::system::system_error(error, boost::system::system_category(),
                                      "rung::io_context: " + explain_refusal(error));
}

std::int64_t monotonic_ns() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// When this process last closed a ring.
std::atomic<std::int64_t>& last_closed_ns() noexcept {
    static constinit std::atomic<std::int64_t> time{std::numeric_limits<std::int64_t>::min() / 2};
    return time;
}

/// Whether the kernel may still hold the memory of a ring that this process has closed.
bool closed_lately() noexcept {
    constexpr std::int64_t longest_ns = 300'000'000;
    return monotonic_ns() - last_closed_ns().load(std::memory_order_relaxed) < longest_ns;
}

class kernel_backend final : public ring_backend {
public:
    explicit kernel_backend(const io_context_options& options)
        : entries_(options.ring_entries), single_thread_(options.concurrency_hint == 1) {
        set_up();
    }
    ~kernel_backend() override {
        if (ring_.ring_fd != -1) {  // not in the child of a fork
            last_closed_ns().store(monotonic_ns(), std::memory_order_relaxed);
            io_uring_queue_exit(&ring_);
        }
    }
    kernel_backend(const kernel_backend&) = delete;
    kernel_backend& operator=(const kernel_backend&) = delete;

    ring_memory memory() noexcept override {
        return {.sq_head = ring_.sq.khead,
                .sq_tail = ring_.sq.ktail,
                .sq_flags = ring_.sq.kflags,
                .cq_head = ring_.cq.khead,
                .cq_tail = ring_.cq.ktail,
                .sqes = ring_.sq.sqes,
                .cqes = ring_.cq.cqes,
                .sq_entries = params_.sq_entries,
                .cq_entries = params_.cq_entries};
    }

    rung::backend kind() const noexcept override { return rung::backend::io_uring; }

    bool may_be_left() const noexcept override { return true; }

    int enter(unsigned to_submit, unsigned min_complete, bool get_events,
              const timespec* timeout) noexcept override {
        unsigned flags = get_events ? IORING_ENTER_GETEVENTS : 0;
        io_uring_getevents_arg argument{};
        void* pointer = nullptr;
        std::size_t size = _NSIG / 8;
        __kernel_timespec limit{};
        if (timeout != nullptr) {
            limit = {.tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_nsec};
            argument.ts = reinterpret_cast<std::uintptr_t>(&limit);
            flags |= IORING_ENTER_EXT_ARG;  // Linux 5.11: a timeout without an entry of its own
            pointer = &argument;
            size = sizeof argument;
        }
        const auto n = ::syscall(__NR_io_uring_enter, ring_.ring_fd, to_submit, min_complete, flags,
                                 pointer, size);
        return n < 0 ? -errno : static_cast<int>(n);
    }

    void abandon() noexcept override {
        // Its memory is not mapped here; the descriptor would keep the ring alive after the parent.
        ::close(std::exchange(ring_.ring_fd, -1));
    }
    void rebuild() override { set_up(); }

private:
    /// Makes the ring: the smallest one where there is no memory for that which was asked for.
    ///
    /// The kernel gives the memory of a ring back some 20 to 60 ms after the ring was closed. Where
    /// this process has just closed one, it is waited for.
    void set_up() {
        constexpr unsigned least_entries = 32;  // the queues fit into a page, the entries, too
        constexpr timespec pause{.tv_sec = 0, .tv_nsec = 5'000'000};
        int error = try_set_up(entries_);
        while (error == ENOMEM && closed_lately()) {
            ::nanosleep(&pause, nullptr);
            error = try_set_up(entries_);
        }
        if (error == ENOMEM && entries_ > least_entries) {
            error = try_set_up(least_entries);
        }
        if (error != 0) {
            refuse(error);
        }
        refuse_old_kernel();
        // Entries are taken in the order in which they lie.
        for (unsigned i = 0; i < params_.sq_entries; ++i) {
            ring_.sq.array[i] = i;
        }
        // A child process must not submit to its parent's ring by accident.
        io_uring_ring_dontfork(&ring_);
    }

    /// Gives 0 or an errno.
    int try_set_up(unsigned entries) noexcept {
        params_ = {};
        params_.flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
        params_.cq_entries = entries * 4;
        params_.flags |=
            IORING_SETUP_SUBMIT_ALL;  // Linux 5.18: one bad entry does not stop the rest
        if (single_thread_) {
            // Linux 5.19: work that the kernel owes us waits until we enter it, instead of
            // interrupting a handler, and a flag says that there is some. With several threads one
            // that computes would hold up completions for those that wait.
            params_.flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
        }
        const int error = io_uring_queue_init_params(entries, &ring_, &params_);
        if (error != 0) {
            ring_.ring_fd = -1;
        }
        return -error;
    }

    /// Set-up alone does not tell: without a flag of Linux 5.19 it succeeds on 5.18, which then
    /// refuses to cancel everything at once and to poll before a transfer.
    void refuse_old_kernel() {
        const probe_pointer probe(io_uring_get_probe_ring(&ring_), &io_uring_free_probe);
        if (probe != nullptr && !kernel_suffices(*probe)) {
            io_uring_queue_exit(&ring_);
            ring_.ring_fd = -1;
            refuse(EINVAL);
        }
    }

    unsigned entries_;  // that were asked for
    bool single_thread_;
    io_uring_params params_{};
    ::io_uring ring_{};
};

}  // namespace

bool kernel_suffices(const io_uring_probe& probe) noexcept {
    return io_uring_opcode_supported(&probe, IORING_OP_SOCKET) != 0;
}

bool waits_for_futexes() noexcept {
    static const bool answer = [] {
        const probe_pointer probe(io_uring_get_probe(), &io_uring_free_probe);
        return probe != nullptr && io_uring_opcode_supported(probe.get(), futex_wait_opcode) != 0;
    }();
    return answer;
}

std::unique_ptr<ring_backend> make_kernel_backend(const io_context_options& options) {
    return std::make_unique<kernel_backend>(options);
}

}  // namespace rung::detail
