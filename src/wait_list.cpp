#include <rung/detail/wait_list.hpp>
#include <rung/this_fiber.hpp>
#include <rung/use_fiber.hpp>

namespace rung::detail {

bool wait_list::try_take() noexcept {
    const std::lock_guard lock(mutex_);
    if (units_ == 0) {
        return false;
    }
    units_ -= units_ == unlimited ? 0 : 1;
    return true;
}

void wait_list::take(waiter* w) {
    {
        const std::lock_guard lock(mutex_);
        if (units_ == 0) {
            push(w);
            return;
        }
        units_ -= units_ == unlimited ? 0 : 1;
    }
    w->finish();
}

void wait_list::wait(waiter* w) noexcept {
    const std::lock_guard lock(mutex_);
    push(w);
}

void wait_list::give(std::uint64_t n) {
    waiter* going = nullptr;
    {
        const std::lock_guard lock(mutex_);
        units_ += n;
        going = detach(unlimited, true);
    }
    finish_all(going);
}

std::uint64_t wait_list::let_go(std::uint64_t n) {
    waiter* going = nullptr;
    {
        const std::lock_guard lock(mutex_);
        going = detach(n, false);
    }
    return finish_all(going);
}

void wait_list::set(std::uint64_t units) {
    waiter* going = nullptr;
    {
        const std::lock_guard lock(mutex_);
        units_ = units;
        going = detach(unlimited, true);
    }
    finish_all(going);
}

std::uint64_t wait_list::units() const noexcept {
    const std::lock_guard lock(mutex_);
    return units_;
}

std::uint64_t wait_list::new_key() noexcept {
    const std::lock_guard lock(mutex_);
    return ++last_key_;
}

void wait_list::cancel(std::uint64_t key) {
    waiter* w = nullptr;
    {
        const std::lock_guard lock(mutex_);
        w = first_;
        while (w != nullptr && w->key != key) {
            w = w->next_;
        }
        if (w == nullptr) {
            return;
        }
        remove(w);
        w->error = boost::asio::error::operation_aborted;
        w->next_ = nullptr;
    }
    finish_all(w);
}

void wait_list::cancel() {
    waiter* going = nullptr;
    {
        const std::lock_guard lock(mutex_);
        going = detach(unlimited, false);
        for (waiter* w = going; w != nullptr; w = w->next_) {
            w->error = boost::asio::error::operation_aborted;
        }
    }
    finish_all(going);
}

void wait_list::take_blocking() {
    if (this_fiber::exists()) {
        async_take(*this, carrier_executor(this_fiber::get_executor()), use_fiber);
        return;
    }
    blocked_thread here;
    take(&here);
    here.block();
}

void wait_list::push(waiter* w) noexcept {
    w->next_ = nullptr;
    w->previous_ = last_;
    (last_ != nullptr ? last_->next_ : first_) = w;
    last_ = w;
}

void wait_list::remove(waiter* w) noexcept {
    (w->previous_ != nullptr ? w->previous_->next_ : first_) = w->next_;
    (w->next_ != nullptr ? w->next_->previous_ : last_) = w->previous_;
}

/// Takes the first waiters off the list, linked in order: at most `n`, with a unit each if asked
/// for.
waiter* wait_list::detach(std::uint64_t n, bool with_units) noexcept {
    waiter* going = nullptr;
    waiter** at = &going;
    while (first_ != nullptr && n != 0 && (!with_units || units_ != 0)) {
        waiter* const w = first_;
        remove(w);
        if (with_units && units_ != unlimited) {
            --units_;
        }
        w->next_ = nullptr;
        *at = w;
        at = &w->next_;
        --n;
    }
    return going;
}

/// Ends waits that are in no list any more, without a lock held: a handler may be posted anywhere.
std::uint64_t wait_list::finish_all(waiter* first) {
    std::uint64_t n = 0;
    while (first != nullptr) {
        waiter* const w = std::exchange(first, first->next_);
        if (wait_list* const next = std::exchange(w->after, nullptr)) {
            next->take(w);
        } else {
            w->finish();
        }
        ++n;
    }
    return n;
}

}  // namespace rung::detail
