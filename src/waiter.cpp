#include <rung/detail/served_wait.hpp>
#include <rung/detail/wait_list.hpp>
#include <rung/detail/waiter.hpp>
#include <utility>

namespace rung::detail {

namespace {

/// Gates that lead nowhere now.
class spare_gates {
public:
    static place_gate* take() {
        {
            const std::lock_guard lock(mutex_);
            if (first_ != nullptr) {
                return std::exchange(first_, first_->next);
            }
        }
        return new place_gate;
    }
    static void put(place_gate* g) noexcept {
        const std::lock_guard lock(mutex_);
        g->next = std::exchange(first_, g);
    }

private:
    static constinit inline std::mutex mutex_;
    static constinit inline place_gate* first_ = nullptr;  // guarded by mutex_
};

}  // namespace

/// What goes into a slot.
struct waiting_place::cancel_request {
    place_name way;
    std::uint64_t key;

    void operator()(boost::asio::cancellation_type_t) const {
        waiter* w = nullptr;
        visit(way, [&](waiting_place& p) { w = p.take(key); });
        if (w != nullptr) {
            w->error = boost::asio::error::operation_aborted;
            finish_all(w);
        }
    }
};

void waiter::leave() {
    if (waiting_place* const p = place_) {
        {
            const waiting_place::lock_guard lock(p->mutex_);
            p->remove(this);
        }
        finish();
    }
}

void served_wait::forgo() {
    if (waiter_ != nullptr) {
        part();
        waiter_->leave();
    } else {
        give_back_(*this, from_);
    }
}

waiting_place::~waiting_place() {
    close_gate();
    cancel();
}

void waiting_place::make_gate() {
    place_gate* spare = spare_gates::take();
    place_name name;
    {
        const std::lock_guard lock(spare->mutex);
        spare->place = this;
        name = {spare, spare->number};
    }
    {
        const lock_guard lock(mutex_);
        if (!open_.load(std::memory_order_relaxed)) {
            name_ = name;
            spare = nullptr;
            open_.store(true, std::memory_order_release);  // pairs with open_gate()
        }
    }
    if (spare != nullptr) {
        spare_gates::put(spare);  // nobody knows the name
    }
}

void waiting_place::close_gate() noexcept {
    if (const place_name closed = std::exchange(name_, {})) {
        {
            const std::lock_guard lock(closed.gate_->mutex);
            closed.gate_->place = nullptr;
            ++closed.gate_->number;
        }
        spare_gates::put(closed.gate_);
    }
}

void waiting_place::connect(waiter* w, boost::asio::cancellation_slot slot) {
    if (!slot.is_connected()) {
        return;
    }
    open_gate();
    {
        const lock_guard lock(mutex_);
        w->key_ = ++last_key_;
    }
    slot.assign(cancel_request{name_, w->key_});
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
    w->place_ = this;
    w->next_ = nullptr;
    w->previous_ = last_;
    (last_ != nullptr ? last_->next_ : first_) = w;
    last_ = w;
}

void waiting_place::push_front(waiter* w) noexcept {
    w->place_ = this;
    w->next_ = first_;
    w->previous_ = nullptr;
    (first_ != nullptr ? first_->previous_ : last_) = w;
    first_ = w;
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
    for_each(going, [&](waiter& w) { w.error = why; });
    return going;
}

void waiting_place::remove(waiter* w) noexcept {
    (w->previous_ != nullptr ? w->previous_->next_ : first_) = w->next_;
    (w->next_ != nullptr ? w->next_->previous_ : last_) = w->previous_;
    w->key_ = 0;  // where it may wait next, that is another's
    w->place_ = nullptr;
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
