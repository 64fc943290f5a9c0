#pragma once

#include <atomic>
#include <rung/detail/operation.hpp>

namespace rung::detail {

/// The list on which threads outside the loop post.
///
/// A push is one exchange of the head. The loop takes everything at once and turns it into posting
/// order. While the loop sleeps, the head is a mark; the thread that replaces it wakes the loop, so
/// that each sleep costs at most one wake-up.
class inbox {
public:
    /// Adds an operation. True if the loop sleeps and the caller has to wake it. Any thread.
    bool push(operation* op) noexcept {
        operation* head = head_.load(std::memory_order_relaxed);
        do {
            op->next_ = head == mark() ? nullptr : head;
        } while (!head_.compare_exchange_weak(head, op,
                                              std::memory_order_seq_cst,  // pairs with sleep()
                                              std::memory_order_relaxed));
        return head == mark();
    }

    /// Ends a sleep without adding anything. True if the caller has to wake the loop. Any thread.
    bool interrupt() noexcept {
        operation* expected = mark();
        return head_.compare_exchange_strong(expected, nullptr, std::memory_order_seq_cst);
    }

    /// Whether the loop is marked as asleep. Any thread.
    bool asleep() noexcept { return head_.load(std::memory_order_seq_cst) == mark(); }

    /// Whether nothing was posted and the loop is not marked as asleep.
    bool idle() const noexcept { return head_.load(std::memory_order_seq_cst) == nullptr; }

    /// Whether something was posted.
    bool filled() noexcept {
        operation* const head = head_.load(std::memory_order_seq_cst);
        return head != nullptr && head != mark();
    }

    /// Marks the loop as asleep. False if something was posted meanwhile.
    bool sleep() noexcept {
        operation* expected = nullptr;
        return head_.compare_exchange_strong(expected, mark(), std::memory_order_seq_cst);
    }

    /// Takes what was posted, oldest first, linked by `next_`; ends a sleep.
    operation* take() noexcept {
        operation* newest = head_.exchange(nullptr, std::memory_order_acquire);  // pairs with push
        if (newest == mark()) {
            return nullptr;
        }
        operation* oldest = nullptr;
        while (newest != nullptr) {
            operation* const before = newest->next_;
            newest->next_ = oldest;
            oldest = newest;
            newest = before;
        }
        return oldest;
    }

private:
    operation* mark() noexcept { return reinterpret_cast<operation*>(this); }

    alignas(64) std::atomic<operation*> head_{nullptr};
};

}  // namespace rung::detail
