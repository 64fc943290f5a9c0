#pragma once

#include <atomic>
#include <rung/detail/operation.hpp>

namespace rung::detail {

class scheduler;
struct cancel_link;
struct timer_node;

/// An operation that a cancellation slot may cancel.
class linked_operation : public operation {
public:
    cancel_link* link = nullptr;  // guarded by the engine's lock

    /// Parts the operation from its slot, whose requests then find nothing. Under the engine's lock.
    void unlink_slot() noexcept;

protected:
    using operation::operation;
};

/// Ties an operation to the handler in a cancellation slot: each side takes the other's pointer back
/// when it ends first.
///
/// `op` is written under the engine's lock; once null it stays so, and then it may be read without.
struct cancel_link {
    std::atomic<linked_operation*> op{nullptr};
    scheduler* engine = nullptr;
    timer_node* timer = nullptr;  // on which the operation waits; guarded by the engine's lock
    operation** before = nullptr;  // of a wait on a timer; see wait_queue
};

inline void linked_operation::unlink_slot() noexcept {
    if (link != nullptr) {
        link->op.store(nullptr, std::memory_order_release);  // pairs with the load in ~slot_handler
        link = nullptr;
    }
}

}  // namespace rung::detail
