#pragma once

#include "../support/time.hpp"
#include "workload.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace bench {

/// Keeps a loop busy and its queue long: so many handlers, each of which computes for a while and
/// posts itself again, half of them at the normal and half at the low level.
///
/// A handler computes for a time and not for a number of steps, so that every system is given the
/// same load whatever else the machine does. Loop thread only.
template <class Stack>
class flood {
public:
    flood(Stack& stack, const priority_workload& workload)
        : stack_(stack), handler_ns_(workload.handler_us * 1000) {
        for (std::size_t i = 0; i < workload.queued; ++i) {
            post(i % 2 == 0 ? level::normal : level::low);
        }
    }

    flood(const flood&) = delete;
    flood& operator=(const flood&) = delete;

    /// Handlers of this level that have run.
    std::uint64_t ran(level l) const noexcept { return ran_[static_cast<unsigned>(l)]; }

private:
    void post(level l) {
        stack_.post(l, [this, l] {
            const std::uint64_t end = now_ns() + handler_ns_;
            while (now_ns() < end) {
            }
            ++ran_[static_cast<unsigned>(l)];
            post(l);
        });
    }

    Stack& stack_;
    std::uint64_t handler_ns_;
    std::array<std::uint64_t, 3> ran_{};
};

}  // namespace bench
