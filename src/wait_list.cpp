#include <rung/detail/wait_list.hpp>
#include <rung/this_fiber.hpp>
#include <rung/use_fiber.hpp>

#include "fiber.hpp"

namespace rung::detail {

void wait_list::take(waiter* w) {
    {
        const lock_guard lock(mutex_);
        if (!take_unit(w->owed)) {
            push(w);
            return;
        }
    }
    w->finish();
}

void wait_list::wait(waiter* w) noexcept {
    const lock_guard lock(mutex_);
    push(w);
}

void wait_list::give(std::uint64_t n) {
    waiter* going = nullptr;
    {
        const lock_guard lock(mutex_);
        units_ += n;
        going = pop_served();
    }
    finish_all(going);
}

std::uint64_t wait_list::let_go(std::uint64_t n) {
    waiter* going = nullptr;
    {
        const lock_guard lock(mutex_);
        going = pop(n);
    }
    return finish_all(going);
}

void wait_list::set(std::uint64_t units) {
    waiter* going = nullptr;
    {
        const lock_guard lock(mutex_);
        units_ = units;
        going = pop_served();
    }
    finish_all(going);
}

std::uint64_t wait_list::units() const noexcept {
    const lock_guard lock(mutex_);
    return units_;
}

void wait_list::take_blocking() {
    if (const fiber* const f = fiber::current()) {
        async_take(*this, f->carrier(), use_fiber);
        return;
    }
    blocked_thread<> here;
    take(&here);
    here.block_or_throw();
}

void wait_list::give_back(const place_name& from) {
    waiter* going = nullptr;
    visit(from, [&](waiting_place& p) {
        auto& self = static_cast<wait_list&>(p);
        const lock_guard lock(self.mutex_);
        ++self.units_;
        going = self.pop_served();
    });
    finish_all(going);
}

/// Takes off those for whom there is a unit, each with one.
waiter* wait_list::pop_served() noexcept {
    if (units_ == unlimited) {
        std::uint64_t all = unlimited;
        return pop(all);
    }
    waiter* const going = pop(units_);
    for_each(going, [&](waiter& w) { w.owed = name(); });
    return going;
}

}  // namespace rung::detail
