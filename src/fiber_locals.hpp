#pragma once

#include <cstdint>
#include <vector>

namespace rung::detail {

/// A fiber's values of `fiber_local`s, in the order of their first use.
class fiber_locals {
public:
    using destroy_type = void (*)(void*) noexcept;

    fiber_locals() = default;
    ~fiber_locals();
    fiber_locals(const fiber_locals&) = delete;
    fiber_locals& operator=(const fiber_locals&) = delete;

    void* find(std::uint64_t key) const noexcept;
    void add(std::uint64_t key, void* value, destroy_type destroy);

private:
    struct entry {
        std::uint64_t key;
        void* value;
        destroy_type destroy;
    };
    std::vector<entry> entries_;
};

}  // namespace rung::detail
