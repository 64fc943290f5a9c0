#pragma once

#include <rung/detail/operation.hpp>

namespace rung {
class io_context;
}

namespace rung::detail {

/// Has stock objects on the context run on its loop. To be called before there are any.
void host_guests(io_context& context);

/// What the loop watches for others beside its own operations: a descriptor, and what is to run once
/// that is readable.
class guest_events {
public:
    explicit guest_events(int descriptor) noexcept : descriptor_(descriptor) {}

    int descriptor() const noexcept { return descriptor_; }

    /// The operation to queue when the descriptor is readable; null if enough are queued. Called
    /// under the engine's lock.
    virtual operation* ready() noexcept = 0;

protected:
    ~guest_events() = default;
    /// To be called while the loop does not watch.
    void watch_instead(int descriptor) noexcept { descriptor_ = descriptor; }

private:
    int descriptor_;
};

}  // namespace rung::detail
