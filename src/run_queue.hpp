#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/operation.hpp>
#include <rung/statistics.hpp>
#include <utility>

#include "stack_operation.hpp"

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
    std::uint64_t size(std::size_t l) const noexcept { return lines_[l].pushed - lines_[l].popped; }
    std::uint64_t size() const noexcept { return size(0) + size(1) + size(2); }
    std::uint64_t popped(std::size_t l) const noexcept { return lines_[l].popped; }

    void push(operation* op) noexcept {
        // Most are of normal level; for a level that the compiler knows there is less to compute.
        if (op->level_ == level::normal) [[likely]] {
            push_to(normal, op);
        } else {
            push_to(static_cast<std::size_t>(op->level_), op);
        }
    }

    /// The operation to run next, or null. What the ones after it begin with is asked of memory, so
    /// that it arrives while this one runs.
    operation* pop() noexcept {
        if (waiting_ == 1U << normal) [[likely]] {
            return take(normal);
        }
        if (waiting_ == 0) {
            return nullptr;
        }
        const bool several_levels = (waiting_ & (waiting_ - 1)) != 0;
        return take(several_levels ? choose() : highest());
    }

private:
    // So many places are between an operation with a stack and the one that it has fetched; and so
    // many wait before it is worth the trouble.
    static constexpr std::size_t distance = 8;
    static constexpr std::uint64_t many = 1024;
    static constexpr auto normal = static_cast<std::size_t>(level::normal);

    /// One level's.
    struct alignas(64) line {
        intrusive_queue<operation> queue;
        std::uint64_t pushed = 0;
        std::uint64_t popped = 0;
        unsigned skipped = 0;  // handlers run since this level began to wait
        // Operations with a stack that were pushed one after the other, by their place.
        std::uint64_t first = 0;
        std::uint64_t behind_last = 0;
        std::array<stack_operation*, distance> latest{};
    };

    void push_to(std::size_t l, operation* op) noexcept {
        line& to = lines_[l];
        to.queue.push(op);
        if (op->has_stack_ && to.pushed - to.popped >= many) [[unlikely]] {
            note_behind(to, static_cast<stack_operation*>(op));
        }
        ++to.pushed;
        waiting_ |= 1U << l;
    }

    /// Where more fibers yield than the cache holds, each is fetched while several others run. The
    /// way along the queue would be no help, since it leads through those that are not there yet; so
    /// an operation knows of one further back. Source: C.-K. Luk and T. Mowry,
    /// "Compiler-based prefetching for recursive data structures", ASPLOS 1996 (history pointers).
    static void note_behind(line& to, stack_operation* op) noexcept {
        const std::uint64_t place = to.pushed;
        if (std::exchange(to.behind_last, place + 1) != place) {
            to.first = place;
        }
        stack_operation*& before = to.latest[place % distance];
        if (place - to.first >= distance) {
            before->ahead_ = op;  // in the queue still, as that is longer
        }
        before = op;
    }

    /// For an operation that leaves the queue: has what it knows of fetched, and the stack of one
    /// halfway there, whose record has come by now.
    static void fetch_ahead(stack_operation& op) noexcept {
        if (const stack_operation* const ahead = std::exchange(op.ahead_, nullptr)) {
            __builtin_prefetch(ahead, 1);
            const operation* halfway = &op;
            for (std::size_t i = 0; i < distance / 2; ++i) {
                halfway = halfway->next_;
            }
            fetch_stack(static_cast<const stack_operation&>(*halfway));
        }
    }

    static void fetch_stack(const stack_operation& op) noexcept {
        constexpr std::size_t line = 64;
        __builtin_prefetch(op.context_, 1);
        __builtin_prefetch(static_cast<const char*>(op.context_) + line, 1);
    }

    static void prefetch(const operation& next) noexcept {
        __builtin_prefetch(next.next_);
        if (next.has_stack_) {
            fetch_stack(static_cast<const stack_operation&>(next));
        }
    }

    std::size_t highest() const noexcept { return static_cast<unsigned>(__builtin_ctz(waiting_)); }

    operation* take(std::size_t l) noexcept {
        line& from = lines_[l];
        if (operation* const first = from.queue.front(); first->has_stack_) {
            fetch_ahead(static_cast<stack_operation&>(*first));
        }
        operation* const op = from.queue.pop_front();
        if (const operation* const next = from.queue.front()) {
            prefetch(*next);
        } else {
            waiting_ &= ~(1U << l);
        }
        from.skipped = 0;
        ++from.popped;
        return op;
    }

    /// The level whose turn it is where several wait. Normal's turn comes one handler early, so that
    /// neither of two levels that were skipped equally often waits longer than the limit.
    std::size_t choose() noexcept {
        std::size_t chosen = highest();
        if (waits(2) && lines_[2].skipped + 1 >= limit_) {
            chosen = 2;
        } else if (waits(1) && lines_[1].skipped + 2 >= limit_) {
            chosen = 1;
        }
        for (std::size_t l = 1; l < levels; ++l) {
            if (l != chosen && waits(l)) {
                ++lines_[l].skipped;
            }
        }
        return chosen;
    }

    bool waits(std::size_t l) const noexcept { return (waiting_ & (1U << l)) != 0; }

    std::uint32_t waiting_ = 0;  // a bit for each level that is not empty
    unsigned limit_;
    std::array<line, levels> lines_;
};

}  // namespace rung::detail
