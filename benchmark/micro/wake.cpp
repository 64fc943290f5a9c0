// Waking a ring that sleeps, from another thread: one round trip is two wake-ups, each thread
// asleep in a wait on its own ring when the other one calls; `waker_ns` is the part that the caller
// spends in the call that wakes. Three ways are compared, each in the mode for several threads and
// (`/defer`) in the one for a single thread. Between two cores the processor's own way out of its
// sleep is most of the time; `taskset -c 0` shows what is left without it.
#include "raw_ring.hpp"
#include "system.hpp"
#include "two_cores.hpp"

#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>

namespace micro {
namespace {

// What liburing 2.3 does not know yet; values of <linux/io_uring.h> and <linux/futex.h>.
constexpr int op_futex_wait = 51;  // since Linux 6.7
constexpr unsigned futex2_size_u32 = 0x02;
constexpr unsigned futex2_private = FUTEX_PRIVATE_FLAG;

void demand(raw_ring& ring, int opcode, const char* name) {
    const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe{
        io_uring_get_probe_ring(ring.get()), io_uring_free_probe};
    if (!probe || !io_uring_opcode_supported(probe.get(), opcode))
        throw std::system_error(ENOSYS, std::system_category(), name);
}

// A wake-up that came twice would let the two run side by side, and look fast.
void expect_one(unsigned completions) {
    raw_ring::check("a wake-up", completions == 1 ? 0 : -EPROTO);
}

// The ring polls an eventfd, multishot: the waker pays one write, the sleeper no entry. The
// counter need not be read, for a multishot poll reports each write.
class eventfd_sleeper {
public:
    explicit eventfd_sleeper(unsigned flags) : ring_(8, flags), event_(::eventfd(0, EFD_CLOEXEC)) {
        raw_ring::check("eventfd", event_ < 0 ? -errno : 0);
        arm();
        ring_.submit();
    }
    ~eventfd_sleeper() { ::close(event_); }

    void wake(eventfd_sleeper& other) {
        const std::uint64_t one = 1;
        if (::write(other.event_, &one, sizeof one) != sizeof one)
            raw_ring::check("write", -errno);
    }
    void sleep() {
        const unsigned reaped = ring_.submit_and_reap(1, [this](const io_uring_cqe& cqe) {
            raw_ring::check("a poll", cqe.res);
            if (!(cqe.flags & IORING_CQE_F_MORE))
                arm();
        });
        expect_one(reaped);
    }

private:
    void arm() { io_uring_prep_poll_multishot(ring_.entry(), event_, POLLIN); }

    raw_ring ring_;
    int event_;
};

// The waker submits a message on its own ring: it must have one, and the call takes its lock. The
// submission is a call of its own, as it would be from a thread that does not sleep next.
class msg_ring_sleeper {
public:
    explicit msg_ring_sleeper(unsigned flags) : ring_(8, flags) {
        demand(ring_, IORING_OP_MSG_RING, "IORING_OP_MSG_RING");
    }

    void wake(msg_ring_sleeper& other) {
        io_uring_sqe* const entry = ring_.entry();
        io_uring_prep_msg_ring(entry, other.ring_.descriptor(), 0, message_mark, 0);
        entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
        ring_.submit();
    }
    void sleep() {
        expect_one(ring_.submit_and_reap(1, [](const io_uring_cqe& cqe) {
            raw_ring::check("a message", cqe.user_data == message_mark ? cqe.res : -EPROTO);
        }));
    }

private:
    static constexpr std::uint64_t message_mark = 1;  // a completion of the waker's own has none
    raw_ring ring_;
};

// The sleeper submits a futex wait with the wait itself, the waker makes a futex call.
class futex_sleeper {
public:
    explicit futex_sleeper(unsigned flags) : ring_(8, flags) {
        demand(ring_, op_futex_wait, "IORING_OP_FUTEX_WAIT");
    }

    void wake(futex_sleeper& other) {
        other.word_.fetch_add(1, std::memory_order_release);  // pairs with the kernel's own read
        ::syscall(SYS_futex, &other.word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
    void sleep() {
        io_uring_sqe* const entry = ring_.entry();
        io_uring_prep_rw(op_futex_wait, entry, futex2_size_u32 | futex2_private, &word_, 0, seen_);
        entry->addr3 = FUTEX_BITSET_MATCH_ANY;
        expect_one(ring_.submit_and_reap(1, [](const io_uring_cqe& cqe) {
            if (cqe.res != -EAGAIN)  // the word had changed before the kernel looked
                raw_ring::check("a futex wait", cqe.res);
        }));
        ++seen_;
    }

private:
    raw_ring ring_;
    std::uint32_t seen_ = 0;
    alignas(64) std::atomic<std::uint32_t> word_{0};  // written by the waker
};

// Each ring is made by the thread that uses it, as the mode for a single thread demands. The
// partner's outlives its thread, since the last call to wake it may return after that has ended.
template <class Sleeper>
void wake(benchmark::State& state, unsigned flags) {
    const two_cores cores;
    Sleeper mine{flags};
    std::optional<Sleeper> partner;
    std::promise<void> ready;
    std::atomic<bool> stop{false};
    std::thread thread([&] {
        cores.move_to_second();
        partner.emplace(flags);
        ready.set_value();
        for (partner->sleep(); !stop; partner->sleep())
            partner->wake(mine);
    });
    ready.get_future().wait();
    std::uint64_t done = 0;
    std::chrono::nanoseconds calling{0};
    while (state.KeepRunningBatch(1)) {
        const auto start = std::chrono::steady_clock::now();
        mine.wake(*partner);
        calling += std::chrono::steady_clock::now() - start;
        mine.sleep();
        ++done;
    }
    stop = true;
    mine.wake(*partner);
    thread.join();
    state.counters["waker_ns"] = static_cast<double>(calling.count()) / static_cast<double>(done);
    finish(state, done);
    state.SetLabel(wall_time);
}

template <class Sleeper>
bool register_wake(const std::string& name) {
    return register_raw(name, [](auto& state) { wake<Sleeper>(state, coop_flags); }) &&
           register_raw(name + "/defer", [](auto& state) { wake<Sleeper>(state, defer_flags); });
}

const bool registered = register_wake<eventfd_sleeper>("wake/eventfd") &&
                        register_wake<msg_ring_sleeper>("wake/msg_ring") &&
                        register_wake<futex_sleeper>("wake/futex");

}  // namespace
}  // namespace micro
