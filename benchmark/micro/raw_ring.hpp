// The bare ring: what liburing alone does, without any library's loop.
#pragma once

#include <benchmark/benchmark.h>

#include <liburing.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace micro {

// COOP_TASKRUN (5.19): no interrupt for a completion; TASKRUN_FLAG (5.19) goes with it.
inline constexpr unsigned coop_flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
// DEFER_TASKRUN (6.1): completions are made only inside a wait; it demands SINGLE_ISSUER (6.0).
inline constexpr unsigned defer_flags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;

// Throws std::system_error if the kernel refuses. One thread only.
class raw_ring {
public:
    raw_ring(unsigned entries, unsigned flags) {
        check("io_uring_queue_init", io_uring_queue_init(entries, &ring_, flags));
    }
    raw_ring(const raw_ring&) = delete;
    raw_ring& operator=(const raw_ring&) = delete;
    ~raw_ring() { io_uring_queue_exit(&ring_); }

    io_uring* get() noexcept { return &ring_; }
    int descriptor() const noexcept { return ring_.ring_fd; }

    // Preconditions: fewer entries are queued than the ring was made with.
    io_uring_sqe* entry() noexcept { return io_uring_get_sqe(&ring_); }

    void submit() { check("io_uring_submit", io_uring_submit(&ring_)); }

    // Submits what is queued, waits until `count` completions are there, hands all that are there
    // to on_completion(const io_uring_cqe&) and returns their number. EINTR waits again.
    template <class F>
    unsigned submit_and_reap(unsigned count, F&& on_completion) {
        int result;
        do
            result = io_uring_submit_and_wait(&ring_, count);
        while (result == -EINTR);
        check("io_uring_submit_and_wait", result);
        unsigned head, seen = 0;
        io_uring_cqe* cqe;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            on_completion(*cqe);
            ++seen;
        }
        io_uring_cq_advance(&ring_, seen);
        return seen;
    }

    static void check(const char* what, int result) {
        if (result < 0)
            throw std::system_error(-result, std::system_category(), what);
    }

private:
    io_uring ring_{};
};

// Registers a workload on the bare ring under its full name. Where the kernel refuses the ring, the
// workload is reported as unavailable, with the reason.
template <class Run>
bool register_raw(const std::string& name, Run run) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        try {
            run(state);
        } catch (const std::system_error& error) {
            state.SkipWithError((std::string("unavailable: ") + error.what()).c_str());
        }
    });
    return true;
}

}  // namespace micro
