#include <rung/detail/waiter.hpp>
#include <rung/detail/wait_list.hpp>
#include <utility>

namespace rung::detail {

/// What goes into a slot.
struct waiting_place::cancel_request {
    std::shared_ptr<gate> way;
    std::uint64_t key;

    void operator()(boost::asio::cancellation_type_t) const {
        waiter* w = nullptr;
        {
            const std::lock_guard lock(way->mutex);
            if (way->place != nullptr) {
                w = way->place->take(key);
            }
        }
        if (w != nullptr) {
            w->error = boost::asio::error::operation_aborted;
            finish_all(w);
        }
    }
};

waiting_place::~waiting_place() {
    if (gate_ != nullptr) {
        const std::lock_guard lock(gate_->mutex);
        gate_->place = nullptr;
    }
    cancel();
}

void waiting_place::connect(waiter* w, boost::asio::cancellation_slot slot) {
    if (!slot.is_connected()) {
        return;
    }
    auto way = open_gate();
    {
        const lock_guard lock(mutex_);
        w->key_ = ++last_key_;
    }
    slot.assign(cancel_request{std::move(way), w->key_});
}

std::shared_ptr<waiting_place::gate> waiting_place::open_gate() {
    auto way = std::make_shared<gate>(this);
    const lock_guard lock(mutex_);
    if (gate_ == nullptr) {
        gate_ = std::move(way);
    }
    return gate_;
}

void waiting_place::cancel() {
    waiter* going = nullptr;
    {
        const lock_guard lock(mutex_);
        going = pop_all(boost::asio::error::operation_aborted);
    }
    finish_all(going);
}

void waiting_place::push(waiter* w) noexcept {
    w->next_ = nullptr;
    w->previous_ = last_;
    (last_ != nullptr ? last_->next_ : first_) = w;
    last_ = w;
}

waiter* waiting_place::pop() noexcept {
    waiter* const w = first_;
    if (w != nullptr) {
        remove(w);
        w->next_ = nullptr;
    }
    return w;
}

waiter* waiting_place::pop(std::uint64_t& n) noexcept {
    waiter* going = nullptr;
    waiter** at = &going;
    while (n != 0 && first_ != nullptr) {
        --n;
        *at = pop();
        at = &(*at)->next_;
    }
    return going;
}

waiter* waiting_place::pop_all(const boost::system::error_code& why) noexcept {
    std::uint64_t all = wait_list::unlimited;
    waiter* const going = pop(all);
    for (waiter* w = going; w != nullptr; w = w->next_) {
        w->error = why;
    }
    return going;
}

void waiting_place::remove(waiter* w) noexcept {
    (w->previous_ != nullptr ? w->previous_->next_ : first_) = w->next_;
    (w->next_ != nullptr ? w->next_->previous_ : last_) = w->previous_;
    w->key_ = 0;  // where it may wait next, that is another's
}

/// Takes off the waiter of that key, if it still waits here.
waiter* waiting_place::take(std::uint64_t key) noexcept {
    const lock_guard lock(mutex_);
    waiter* w = first_;
    while (w != nullptr && w->key_ != key) {
        w = w->next_;
    }
    if (w != nullptr) {
        remove(w);
        w->next_ = nullptr;
    }
    return w;
}

std::uint64_t waiting_place::finish_all(waiter* first) {
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
