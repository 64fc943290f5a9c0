#pragma once

#include <cstdint>

namespace test {

/// Whether this build counts allocations (the sanitizers bring their own operator new).
bool counts_allocations() noexcept;

/// Calls of operator new so far, on every thread.
std::uint64_t allocations() noexcept;

/// Blocks of operator new that were not yet deleted, of every thread.
std::int64_t live_allocations() noexcept;

/// Makes the `n`th call of operator new from now on this thread throw `std::bad_alloc`; 0: none.
void fail_allocation(std::uint64_t n) noexcept;

/// Whether the work allocates nothing once it has been done some times.
template <class F>
bool needs_no_new_memory(F work) {
    constexpr int times = 20;
    for (int i = 0; i < times; ++i) {
        work();
    }
    const std::uint64_t before = allocations();
    for (int i = 0; i < times; ++i) {
        work();
    }
    return !counts_allocations() || allocations() == before;
}

}  // namespace test
