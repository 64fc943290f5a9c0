#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/operation.hpp>
#include <rung/statistics.hpp>

namespace rung::detail {

/// Handlers that are ready, one queue a level.
///
/// The highest level that has any runs first; a lower level that waits runs at least once in `limit`
/// handlers. Not thread-safe: guarded by the engine's lock.
class run_queue {
public:
    static constexpr std::size_t levels = statistics::levels;
    static constexpr unsigned smallest_limit = 3;  // one handler for each level

    explicit run_queue(unsigned limit) noexcept : limit_(limit) {}

    bool empty() const noexcept { return waiting_ == 0; }
    std::uint64_t size(std::size_t l) const noexcept { return pushed_[l] - popped_[l]; }
    std::uint64_t popped(std::size_t l) const noexcept { return popped_[l]; }

    void push(operation* op) noexcept {
        const auto l = static_cast<std::size_t>(op->level_);
        queues_[l].push(op);
        waiting_ |= 1U << l;
        ++pushed_[l];
    }

    /// The operation to run next, or null.
    operation* pop() noexcept {
        if (waiting_ == 0) {
            return nullptr;
        }
        const bool only_one_level = (waiting_ & (waiting_ - 1)) == 0;
        return take(only_one_level ? highest() : choose());
    }

private:
    std::size_t highest() const noexcept {
        return static_cast<std::size_t>(__builtin_ctz(waiting_));
    }

    operation* take(std::size_t l) noexcept {
        operation* const op = queues_[l].pop();
        if (queues_[l].empty()) {
            waiting_ &= ~(1U << l);
        }
        skipped_[l] = 0;
        ++popped_[l];
        return op;
    }

    /// The level whose turn it is where several wait. Normal's turn comes one handler early, so that
    /// neither of two levels that were skipped equally often waits longer than the limit.
    std::size_t choose() noexcept {
        std::size_t chosen = highest();
        if (waits(2) && skipped_[2] + 1 >= limit_) {
            chosen = 2;
        } else if (waits(1) && skipped_[1] + 2 >= limit_) {
            chosen = 1;
        }
        for (std::size_t l = 1; l < levels; ++l) {
            if (l != chosen && waits(l)) {
                ++skipped_[l];
            }
        }
        return chosen;
    }

    bool waits(std::size_t l) const noexcept { return (waiting_ & (1U << l)) != 0; }

    std::array<intrusive_queue<operation>, levels> queues_;
    std::uint32_t waiting_ = 0;  // a bit for each level that is not empty
    unsigned limit_;
    std::array<unsigned, levels> skipped_{};  // handlers run since this level began to wait
    std::array<std::uint64_t, levels> pushed_{};
    std::array<std::uint64_t, levels> popped_{};
};

}  // namespace rung::detail
