#pragma once

#include <liburing.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <rung/detail/io_operation.hpp>

#include "ring_backend.hpp"

namespace rung::detail {

/// A completion as the engine sees it.
struct completion {
    std::uint64_t tag;
    std::int32_t result;
    bool more;  // the entry goes on and will complete again
};

/// Entries without a system call, one submission a pass, completions as they come.
///
/// Everything above prepares entries through this class, whatever the backend. Not thread-safe:
/// guarded by the engine's lock, but for `wait`.
class ring {
public:
    // Tags of entries that are not operations. Operations' tags are their addresses.
    static constexpr std::uint64_t ignored_tag = 0;
    static constexpr std::uint64_t wake_tag = 1;
    static constexpr std::uint64_t guest_tag = 2;
    static constexpr std::uint64_t last_tag = guest_tag;

    explicit ring(std::unique_ptr<ring_backend> backend) noexcept;

    rung::backend kind() const noexcept { return backend_->kind(); }
    bool may_be_left() const noexcept { return backend_->may_be_left(); }

    /// How many entries the submission queue has.
    unsigned entries() const noexcept { return memory_.sq_entries; }
    /// How many entries fit before the next `submit`.
    unsigned room() const noexcept { return memory_.sq_entries - (tail_ - head_); }
    /// How many entries wait for `submit`.
    unsigned unsubmitted() const noexcept { return tail_ - head_; }

    // Each adds one entry. Precondition: room().
    void add(io_operation& op) noexcept;
    void add_cancel(const io_operation& op) noexcept;
    void add_cancel_all() noexcept;
    void add_wake(int descriptor) noexcept;
    void add_guest_poll(int descriptor) noexcept;

    /// Submits what waits and brings what completions there are. Gives 0 or a negated errno.
    int submit() noexcept {
        const int error = wait(publish(), false, -1);
        refresh();
        return error;
    }

    // The same in three parts, so that the middle one can go without the lock.
    /// Shows the backend the entries added so far; gives their number.
    unsigned publish() noexcept;
    /// Submits `count` entries and, if `block`, waits for a completion, for `timeout_ns` at most if
    /// that is not negative. Touches nothing that other threads use.
    int wait(unsigned count, bool block, std::int64_t timeout_ns) noexcept;
    /// Notes how many entries the backend has taken, and whether it keeps completions aside.
    void refresh() noexcept;

    /// In the child of a fork: leaves the ring and what it holds to the parent. It has no room, and
    /// nothing comes of it, until `rebuild()`.
    void abandon() noexcept;
    /// After that: an empty ring of this process's own. Throws as its backend.
    void rebuild();

    /// Whether the backend has taken everything added so far. While another thread is in `wait`, too.
    bool all_taken() noexcept {
        note_taken();
        return head_ == tail_;
    }

    /// Makes nothing of an operation's entry that the backend has not taken yet. False if it has.
    bool withdraw(const io_operation& op) noexcept;

    /// Whether a completion is there, one load.
    bool ready() const noexcept {
        return std::atomic_ref(*memory_.cq_tail).load(std::memory_order_acquire) != cq_head_;
    }
    /// Whether the backend has completions for us that only `submit` or `wait` brings, one load.
    bool pending_work() const noexcept;

    /// Takes the next completion. Precondition: ready().
    completion take() noexcept {
        const io_uring_cqe& c = memory_.cqes[cq_head_++ & (memory_.cq_entries - 1)];
        return {c.user_data, c.res, (c.flags & IORING_CQE_F_MORE) != 0};
    }
    /// Tells the backend how far we have read.
    void release_taken() noexcept {
        std::atomic_ref(*memory_.cq_head).store(cq_head_, std::memory_order_release);
    }

    /// How often the backend was found to keep completions aside, for want of room.
    std::uint64_t overflows() const noexcept { return overflows_; }

private:
    io_uring_sqe* next() noexcept;
    void note_taken() noexcept;

    std::unique_ptr<ring_backend> backend_;
    ring_memory memory_;
    unsigned tail_ = 0;  // entries added so far
    unsigned head_ = 0;  // entries that the backend has taken
    unsigned cq_head_ = 0;
    std::uint64_t overflows_ = 0;
    unsigned nothing_ = 0;  // every index and flag of a ring without memory
};

}  // namespace rung::detail
