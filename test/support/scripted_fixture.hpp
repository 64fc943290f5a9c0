#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "probe_operation.hpp"
#include "scripted_backend.hpp"

namespace test {

inline rung::io_context_options with_entries(unsigned n) {
    rung::io_context_options options;
    options.ring_entries = n;
    return options;
}

/// A context over a script, and receives on one object of it.
struct scripted_fixture {
    explicit scripted_fixture(const rung::io_context_options& options = {}) { make(options); }

    /// Makes the context anew.
    void make(const rung::io_context_options& options) {
        context.reset();
        s = std::make_shared<script>();
        context.emplace(s, options);
    }

    /// Starts a receive; `in_turn` not before those that were started earlier have ended.
    outcome& start(bool in_turn = false, rung::detail::level io = rung::detail::level::normal,
                   rung::detail::cancel_link* link = nullptr) {
        outcome& o = outcomes.emplace_back();
        auto* const p = new probe(o);
        p->kind = rung::detail::io_kind::receive;
        p->in_turn = in_turn;
        p->io_level = io;
        tags.push_back(tag_of(p));
        test::start(*context, p, &list, link);
        return o;
    }

    void cancel() { rung::detail::engine::cancel_all(engine_of(*context), list); }

    /// Runs until nothing is left to do; gives the number of handlers.
    std::size_t run() {
        context->restart();
        return context->run();
    }

    std::shared_ptr<script> s;
    std::deque<outcome> outcomes;
    std::vector<std::uint64_t> tags;
    rung::detail::io_list list;
    std::optional<scripted_context> context;
};

struct scripted_fixture_of_one : scripted_fixture {
    scripted_fixture_of_one() : scripted_fixture(with_entries(1)) {}
};

}  // namespace test
