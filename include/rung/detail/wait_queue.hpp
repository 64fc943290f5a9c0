#pragma once

#include <rung/detail/cancel_link.hpp>
#include <utility>

namespace rung::detail {

/// The waits on one timer, first in, first out. Owns nothing.
///
/// Those that a cancellation slot may cancel leave it from any place in constant time: their link
/// knows what stands before them. Others leave it from the front only, and have no room for that.
/// Guarded by the engine's lock.
class wait_queue {
public:
    wait_queue() = default;
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;

    bool empty() const noexcept { return front_ == nullptr; }
    linked_operation* front() const noexcept { return static_cast<linked_operation*>(front_); }

    void push(linked_operation* op) noexcept {
        op->next_ = nullptr;
        hang(op, back_);
        back_ = &op->next_;
    }

    /// The first, or null.
    linked_operation* pop() noexcept {
        linked_operation* const op = front();
        if (op != nullptr) {
            close_gap(op, &front_);
        }
        return op;
    }

    /// Precondition: `op` is in this queue and has had its link since it was pushed.
    void remove(linked_operation* op) noexcept { close_gap(op, op->link->before); }

    /// Takes everything out of `other`. Precondition: this queue is empty.
    void take(wait_queue& other) noexcept {
        if (!other.empty()) {
            hang(std::exchange(other.front_, nullptr), &front_);
            back_ = std::exchange(other.back_, &other.front_);
        }
    }

private:
    static void hang(operation* op, operation** at) noexcept {
        *at = op;
        if (op != nullptr) {
            cancel_link* const link = static_cast<linked_operation*>(op)->link;
            if (link != nullptr) {
                link->before = at;
            }
        }
    }
    void close_gap(linked_operation* op, operation** at) noexcept {
        if (op->next_ == nullptr) {
            back_ = at;
        }
        hang(op->next_, at);
    }

    operation* front_ = nullptr;
    operation** back_ = &front_;  // where the next wait is to be hung
};

}  // namespace rung::detail
