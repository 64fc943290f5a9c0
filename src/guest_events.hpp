#pragma once

#include <atomic>
#include <cstdint>
#include <rung/detail/operation.hpp>

namespace rung {
class io_context;
}

namespace rung::detail {

/// Has stock objects on the context run on its loop. To be called before there are any. False where
/// Asio keeps a thread for them.
bool host_guests(io_context& context);

/// Whether there are guests of the kind that does not tell Asio's scheduler when it comes, and so
/// nobody who would wake the loop for them: resolvers.
bool has_quiet_guests(io_context& context) noexcept;
/// Has the loop watch for them. Not to be called under the engine's lock. May throw `system_error`.
void watch_quiet_guests(io_context& context);

/// What the loop watches for others beside its own operations: a descriptor, and what is to run once
/// that is readable.
class guest_events {
public:
    explicit guest_events(int descriptor) noexcept : descriptor_(descriptor) {}

    int descriptor() const noexcept { return descriptor_; }

    /// How many of their operations are in the run queue, or on the way there. Each of them looks at
    /// the descriptor itself.
    std::uint64_t queued() const noexcept { return queued_.load(std::memory_order_relaxed); }

    /// The operation to queue when the descriptor is readable; null if enough are queued. Called
    /// under the engine's lock.
    virtual operation* ready() noexcept = 0;

    /// The operation to queue when a thread enters the loop while another, or the same, is inside:
    /// what that has brought and not run yet is the newcomer's, too. As `ready()`.
    virtual operation* entered() noexcept = 0;

protected:
    ~guest_events() = default;
    void note_queued() noexcept { queued_.fetch_add(1, std::memory_order_relaxed); }
    void note_run() noexcept { queued_.fetch_sub(1, std::memory_order_relaxed); }
    /// To be called while the loop does not watch.
    void watch_instead(int descriptor) noexcept { descriptor_ = descriptor; }

private:
    int descriptor_;
    std::atomic<std::uint64_t> queued_{0};
};

}  // namespace rung::detail
