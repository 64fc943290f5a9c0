#include <atomic>
#include <rung/fiber_local.hpp>

#include "fiber.hpp"
#include "fiber_locals.hpp"

namespace rung::detail {

fiber_locals::~fiber_locals() {
    while (!entries_.empty()) {
        // A destructor may make further values.
        const entry last = entries_.back();
        entries_.pop_back();
        last.destroy(last.value);
    }
}

void* fiber_locals::find(std::uint64_t key) const noexcept {
    for (const entry& e : entries_) {
        if (e.key == key) {
            return e.value;
        }
    }
    return nullptr;
}

void fiber_locals::add(std::uint64_t key, void* value, destroy_type destroy) {
    entries_.push_back({key, value, destroy});
}

std::uint64_t new_fiber_local_key() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void* find_fiber_local(std::uint64_t key) {
    const fiber_locals* const l = require_fiber("rung::fiber_local").locals();
    return l != nullptr ? l->find(key) : nullptr;
}

void add_fiber_local(std::uint64_t key, void* value, void (*destroy)(void*) noexcept) {
    fiber_locals*& l = require_fiber("rung::fiber_local").locals();
    if (l == nullptr) {
        l = new fiber_locals;
    }
    l->add(key, value, destroy);
}

}  // namespace rung::detail
