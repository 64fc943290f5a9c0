#include "ring.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "io_policy.hpp"

namespace rung::detail {

namespace {

// Recorded in an operation's flags for the kernel; see io_uring_enter(2).
constexpr std::uint32_t poll_first_flag = IORING_RECVSEND_POLL_FIRST;  // Linux 5.19
// Reads and writes go on where the descriptor stands, as read(2) does.
constexpr std::uint64_t own_position = static_cast<std::uint64_t>(-1);

/// The events to poll for.
///
/// The kernel overlooks urgent data where a poll asks for nothing else: it leaves POLLPRI out of the
/// comparison with what a wake-up brings. POLLRDBAND comes with the same wake-ups, and no socket
/// ever reports it.
unsigned poll_events(const io_operation& op) noexcept {
    return (op.events & POLLPRI) != 0 ? op.events | POLLRDBAND : op.events;
}

/// An entry's length has 32 bits; the kernel moves no more than this at once.
std::size_t entry_length(const io_operation& op) noexcept {
    constexpr std::size_t most = 0x7ffff000;
    return std::min(op.length, most);
}

/// A receive waits, whatever its caller's flags say, which is what makes it asynchronous, and then
/// takes what there is.
int entry_flags(const io_operation& op) noexcept {
    return op.flags & ~(MSG_DONTWAIT | MSG_WAITALL);
}

/// Linux 6.7; see `waits_for_futexes`. Older headers name neither the opcode nor the fields: the
/// word's size stands where a descriptor would, its value in `addr2`, who may wake it in `addr3`.
void prepare_futex_wait(io_uring_sqe* e, const io_operation& op) noexcept {
    constexpr int size_of_word = 2;                   // FUTEX2_SIZE_U32
    constexpr std::uint32_t by_anyone = 0xffff'ffff;  // FUTEX_BITSET_MATCH_ANY
    io_uring_prep_rw(futex_wait_opcode, e, size_of_word, op.address, 0, op.length);
    e->addr3 = by_anyone;
}

void prepare(io_uring_sqe* e, io_operation& op) noexcept {
    switch (op.kind) {
        case io_kind::nop:
            io_uring_prep_nop(e);
            break;
        case io_kind::receive:
            io_uring_prep_recv(e, op.descriptor, op.address, entry_length(op), entry_flags(op));
            break;
        case io_kind::receive_msg:
            io_uring_prep_recvmsg(e, op.descriptor, static_cast<msghdr*>(op.address),
                                  static_cast<unsigned>(entry_flags(op)));
            break;
        case io_kind::accept:
            io_uring_prep_accept(e, op.descriptor, static_cast<sockaddr*>(op.address),
                                 op.address_length, op.flags);
            break;
        case io_kind::read:
            io_uring_prep_read(e, op.descriptor, op.address,
                               static_cast<unsigned>(entry_length(op)), own_position);
            break;
        case io_kind::write:
            io_uring_prep_write(e, op.descriptor, op.address,
                                static_cast<unsigned>(entry_length(op)), own_position);
            break;
        case io_kind::read_vector:
            io_uring_prep_readv(e, op.descriptor, static_cast<iovec*>(op.address),
                                static_cast<unsigned>(op.length), own_position);
            break;
        case io_kind::write_vector:
            io_uring_prep_writev(e, op.descriptor, static_cast<iovec*>(op.address),
                                 static_cast<unsigned>(op.length), own_position);
            break;
        case io_kind::futex_wait:
            prepare_futex_wait(e, op);
            break;
        case io_kind::send:
        case io_kind::send_msg:
        case io_kind::connect:
        case io_kind::wait:
            break;  // these wait by polls only
    }
    const bool receive = op.kind == io_kind::receive || op.kind == io_kind::receive_msg;
    if (op.poll_first && receive) {
        e->ioprio |= poll_first_flag;
    }
}

/// The wait before another try. The kernel reads the time when it takes the entry.
void prepare_pause(io_uring_sqe* e, unsigned n) noexcept {
    static const auto lengths = [] {
        std::array<__kernel_timespec, 16> all{};
        for (unsigned i = 0; i < all.size(); ++i) {
            all[i].tv_nsec = pause_ns(i + 1);
        }
        return all;
    }();
    const auto& length = lengths[std::min<std::size_t>(n, lengths.size()) - 1];
    io_uring_prep_timeout(e, const_cast<__kernel_timespec*>(&length), 0, 0);
}

}  // namespace

ring::ring(std::unique_ptr<ring_backend> backend) noexcept
    : backend_(std::move(backend)), memory_(backend_->memory()) {}

void ring::abandon() noexcept {
    backend_->abandon();
    memory_ = {.sq_head = &nothing_,
               .sq_tail = &nothing_,
               .sq_flags = &nothing_,
               .cq_head = &nothing_,
               .cq_tail = &nothing_};
    tail_ = head_ = cq_head_ = 0;
}

void ring::rebuild() {
    backend_->rebuild();
    memory_ = backend_->memory();
    tail_ = head_ = cq_head_ = 0;
}

io_uring_sqe* ring::next() noexcept { return &memory_.sqes[tail_++ & (memory_.sq_entries - 1)]; }

void ring::add(io_operation& op) noexcept {
    op.entry = tail_;
    io_uring_sqe* const e = next();
    if (op.pauses != 0) {
        prepare_pause(e, op.pauses);
    } else if (op.by_poll) {
        io_uring_prep_poll_add(e, op.descriptor, poll_events(op));
        e->len = op.watching ? IORING_POLL_ADD_MULTI : 0;  // Linux 5.13
    } else {
        prepare(e, op);
    }
    e->user_data = reinterpret_cast<std::uintptr_t>(&op);
}

void ring::add_cancel(const io_operation& op) noexcept {
    io_uring_sqe* const e = next();
    io_uring_prep_rw(IORING_OP_ASYNC_CANCEL, e, -1, nullptr, 0, 0);
    e->addr = reinterpret_cast<std::uintptr_t>(&op);
    e->user_data = ignored_tag;
    e->flags |= IOSQE_CQE_SKIP_SUCCESS;  // Linux 5.17: the operation's own completion is enough
}

void ring::add_cancel_all() noexcept {
    io_uring_sqe* const e = next();
    io_uring_prep_rw(IORING_OP_ASYNC_CANCEL, e, -1, nullptr, 0, 0);
    e->cancel_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;  // Linux 5.19
    e->user_data = ignored_tag;
}

void ring::add_wake(int descriptor) noexcept {
    io_uring_sqe* const e = next();
    io_uring_prep_poll_add(e, descriptor, POLLIN);
    e->len = IORING_POLL_ADD_MULTI;  // Linux 5.13: one entry for every wake-up
    e->user_data = wake_tag;
}

void ring::add_guest_poll(int descriptor) noexcept {
    io_uring_sqe* const e = next();
    io_uring_prep_poll_add(e, descriptor, POLLIN);
    e->user_data = guest_tag;
}

unsigned ring::publish() noexcept {
    std::atomic_ref(*memory_.sq_tail).store(tail_, std::memory_order_release);
    return unsubmitted();
}

int ring::wait(unsigned count, bool block, std::int64_t timeout_ns) noexcept {
    timespec timeout{};
    const bool limited = block && timeout_ns >= 0;
    if (limited) {
        timeout = {.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
    }
    const int n = backend_->enter(count, block ? 1 : 0, true, limited ? &timeout : nullptr);
    return n < 0 ? n : 0;
}

void ring::refresh() noexcept {
    note_taken();
    const unsigned flags = std::atomic_ref(*memory_.sq_flags).load(std::memory_order_relaxed);
    overflows_ += (flags & IORING_SQ_CQ_OVERFLOW) != 0 ? 1 : 0;
}

void ring::note_taken() noexcept {
    head_ = std::atomic_ref(*memory_.sq_head).load(std::memory_order_acquire);
}

bool ring::withdraw(const io_operation& op) noexcept {
    if (op.entry - head_ >= unsubmitted()) {
        return false;
    }
    io_uring_sqe& e = memory_.sqes[op.entry & (memory_.sq_entries - 1)];
    if (e.user_data != reinterpret_cast<std::uintptr_t>(&op)) {
        return false;
    }
    io_uring_prep_nop(&e);
    e.user_data = ignored_tag;
    return true;
}

bool ring::pending_work() const noexcept {
    return (std::atomic_ref(*memory_.sq_flags).load(std::memory_order_relaxed) &
            (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

}  // namespace rung::detail
