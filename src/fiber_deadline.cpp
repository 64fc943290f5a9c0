#include <boost/asio/cancellation_type.hpp>
#include <rung/detail/fiber_deadline.hpp>

#include "fiber.hpp"

namespace rung::detail {

fiber_alarm::fiber_alarm(fiber& owner, ended_type f)
    : wait_operation(&fiber_alarm::finish, owner.level_), owner_(owner), ended_(f) {
    if (owner.engine() == nullptr) {
        handle_ = std::make_shared<handle>(owner.carrier().other(), *this);
    }
}

fiber_alarm::~fiber_alarm() {
    if (handle_ != nullptr) {
        handle_->alarm = nullptr;
    }
}

void fiber_alarm::start(clock::time_point when) {
    if (scheduler* const s = owner_.engine()) {
        // Where there is no memory for the timer, the engine destroys the wait before it throws.
        started_ = false;
        engine::wait(*s, node_, std::chrono::nanoseconds(when.time_since_epoch()).count(), this,
                     nullptr);
        started_ = true;
        return;
    }
    const std::lock_guard lock(handle_->mutex);
    handle_->timer.expires_at(when);
    handle_->timer.async_wait([h = handle_](const boost::system::error_code& ec) {
        if (h->alarm != nullptr) {
            h->alarm->ended_(*h->alarm, ec.failed() ? outcome::stopped : outcome::expired);
        }
    });
}

void fiber_alarm::stop() noexcept {
    if (handle_ != nullptr) {
        const std::lock_guard lock(handle_->mutex);
        handle_->timer.cancel();
    } else {
        engine::cancel_waits(*owner_.engine(), node_, 1);
    }
}

void fiber_alarm::finish(operation* base, action what) {
    auto* const self = static_cast<fiber_alarm*>(static_cast<wait_operation*>(base));
    if (what == action::destroy) {
        if (self->started_) {
            self->ended_(*self, outcome::destroyed);
        }
    } else if (!self->owner_.send_home(self)) {
        self->ended_(*self, self->aborted() ? outcome::stopped : outcome::expired);
    }
}

fiber_deadline::fiber_deadline(fiber_wait& wait)
    : fiber_alarm(wait.fiber_, &fiber_deadline::alarm_ended), wait_(wait) {
    if (wait.slot_.is_connected()) {
        wait.slot_.assign([this](boost::asio::cancellation_type_t type) { signal_.emit(type); });
    }
    wait.deadline_ = this;
    wait.slot_ = signal_.slot();
}

fiber_deadline::~fiber_deadline() {
    wait_.slot_ = {};
    if (fiber_cancellation* const c = owner().cancellation()) {
        c->signal.slot().clear();
    }
}

void fiber_deadline::arm(clock::time_point when) {
    if (operation_ended_.load(std::memory_order_acquire)) {
        one_ended();
        return;
    }
    start(when);
    if (operation_ended_.load(std::memory_order_acquire)) {
        stop();  // it ended meanwhile, maybe too early to find the alarm running
    }
}

void fiber_deadline::operation_ended() {
    operation_ended_.store(true, std::memory_order_release);  // pairs with arm()
    stop();
    one_ended();
}

void fiber_deadline::abandoned() noexcept {
    abandoned_.store(true, std::memory_order_relaxed);  // ordered by the count
    operation_ended();
}

void fiber_deadline::alarm_ended(fiber_alarm& base, outcome how) {
    auto& self = static_cast<fiber_deadline&>(base);
    if (how == outcome::destroyed) {
        self.abandoned_.store(true, std::memory_order_relaxed);
    } else if (how == outcome::expired && !self.operation_ended_.load(std::memory_order_acquire)) {
        self.came_ = true;
        self.signal_.emit(boost::asio::cancellation_type::terminal);
    }
    self.one_ended();
}

/// Of the operation and the alarm, the one that ends last lets the fiber go on.
void fiber_deadline::one_ended() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) {
        return;
    }
    if (abandoned_.load(std::memory_order_relaxed)) {
        owner().abandon();
    } else {
        wait_.wake();
    }
}

}  // namespace rung::detail
