#pragma once

#include <linux/io_uring.h>

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ring_backend.hpp"

namespace test {

/// What a script shares with its backend, which the ring owns.
///
/// `on_enter` is called for each `enter` with the entries taken; it calls `complete` for those that
/// shall end now. Without it every entry stays in flight, but for cancels, which answer as the
/// kernel's do.
struct script {
    std::function<int(const std::vector<io_uring_sqe>& taken, unsigned min_complete)> on_enter;
    std::vector<io_uring_sqe> in_flight;
    std::deque<io_uring_cqe> ready;  // beyond the room in the completion queue
    unsigned enters = 0;
    unsigned accept_at_most = 1U << 30;  // entries taken in one enter
    int fail_with = 0;                   // the next enters give this negated errno

    void complete(std::uint64_t user_data, std::int32_t result, std::uint32_t flags = 0) {
        ready.push_back({.user_data = user_data, .res = result, .flags = flags});
        if ((flags & IORING_CQE_F_MORE) == 0) {
            std::erase_if(in_flight, [&](auto& e) { return e.user_data == user_data; });
        }
    }
};

/// A backend without a kernel: rings in ordinary memory, completions from a script.
class scripted_backend final : public rung::detail::ring_backend {
public:
    scripted_backend(std::shared_ptr<script> s, unsigned entries)
        : script_(std::move(s)), sqes_(entries), cqes_(4UL * entries) {}

    rung::detail::ring_memory memory() noexcept override {
        return {.sq_head = &sq_head_,
                .sq_tail = &sq_tail_,
                .sq_flags = &sq_flags_,
                .cq_head = &cq_head_,
                .cq_tail = &cq_tail_,
                .cq_overflow = &cq_overflow_,
                .sqes = sqes_.data(),
                .cqes = cqes_.data(),
                .sq_entries = static_cast<unsigned>(sqes_.size()),
                .cq_entries = static_cast<unsigned>(cqes_.size())};
    }
    rung::backend kind() const noexcept override { return rung::backend::io_uring; }

    int enter(unsigned to_submit, unsigned min_complete, bool, const timespec*) noexcept override {
        ++script_->enters;
        if (script_->fail_with != 0) {
            return std::exchange(script_->fail_with, 0);
        }
        std::vector<io_uring_sqe> taken;
        while (taken.size() < to_submit && taken.size() < script_->accept_at_most) {
            taken.push_back(sqes_[sq_head_++ & (sqes_.size() - 1)]);
        }
        for (const io_uring_sqe& e : taken) {
            if (e.opcode == IORING_OP_ASYNC_CANCEL) {
                cancel(e);
            } else {
                script_->in_flight.push_back(e);
            }
        }
        const int result =
            script_->on_enter ? script_->on_enter(taken, min_complete) : static_cast<int>(taken.size());
        while (!script_->ready.empty() && cq_tail_ - cq_head_ < cqes_.size()) {
            cqes_[cq_tail_++ & (cqes_.size() - 1)] = script_->ready.front();
            script_->ready.pop_front();
        }
        return result;
    }

private:
    void cancel(const io_uring_sqe& e) {
        const bool all = (e.cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0;
        const std::vector<io_uring_sqe> targets = script_->in_flight;
        for (const io_uring_sqe& t : targets) {
            if (all || t.user_data == e.addr) {
                script_->complete(t.user_data, -ECANCELED);
            }
        }
    }

    std::shared_ptr<script> script_;
    std::vector<io_uring_sqe> sqes_;
    std::vector<io_uring_cqe> cqes_;
    unsigned sq_head_ = 0;
    unsigned sq_tail_ = 0;
    unsigned sq_flags_ = 0;
    unsigned cq_head_ = 0;
    unsigned cq_tail_ = 0;
    unsigned cq_overflow_ = 0;
};

/// A context over a scripted backend.
class scripted_context : public rung::io_context {
public:
    explicit scripted_context(std::shared_ptr<script> s, rung::io_context_options options = {})
        : rung::io_context(options,
                           std::make_unique<scripted_backend>(std::move(s), options.ring_entries)) {
    }
};

}  // namespace test
