#pragma once

#include <cstdint>
#include <functional>
#include <rung/detail/io_operation.hpp>
#include <rung/rung.hpp>
#include <utility>

namespace test {

/// What became of a probe.
struct outcome {
    int completed = 0;
    int destroyed = 0;
    std::int32_t result = 0;

    bool ended() const { return completed + destroyed != 0; }
};

/// An operation for the engine alone, without a handler's machinery.
///
/// It deletes itself when it ends; what became of it is in its outcome, which must outlive it.
class probe final : public rung::detail::io_operation {
public:
    using level = rung::detail::level;

    explicit probe(outcome& o, level l = level::normal) : io_operation(&probe::finish, l), out_(o) {
        kind = rung::detail::io_kind::nop;
    }

    std::function<void()> on_complete;
    std::function<void()> on_destroy;

private:
    static void finish(rung::detail::operation* base, action what) {
        auto* const self = static_cast<probe*>(base);
        if (self->at == state::ready && !rung::detail::engine::attempt(self, what)) {
            return;
        }
        outcome& out = self->out_;
        out.result = self->result;
        const bool completes = what == action::complete;
        ++(completes ? out.completed : out.destroyed);
        const auto f = std::move(completes ? self->on_complete : self->on_destroy);
        delete self;
        if (f) {
            f();
        }
    }

    outcome& out_;
};

/// The engine of a context.
inline rung::detail::scheduler& engine_of(rung::io_context& context) {
    return rung::detail::executor_access::engine_of(context.get_executor());
}

/// Starts a probe on a context, on a list if one is given.
inline void start(rung::io_context& context, probe* p, rung::detail::io_list* list = nullptr,
                  rung::detail::cancel_link* link = nullptr) {
    rung::detail::engine::start(engine_of(context), p, list, link);
}

/// A tag as the ring gives it to an operation.
inline std::uint64_t tag_of(const rung::detail::io_operation* op) {
    return reinterpret_cast<std::uintptr_t>(op);
}

}  // namespace test
