#pragma once

#include <algorithm>
#include <boost/asio/execution_context.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <rung/detail/monotonic.hpp>
#include <rung/detail/timer_heap.hpp>
#include <rung/detail/wait_operation.hpp>
#include <span>
#include <utility>

namespace rung::detail {

class clock_timers;

/// A node that knows the clock to whose timers it belongs.
struct clock_timer_node : timer_node {
    clock_timers* clock = nullptr;
};

/// The armed timers of one clock that is not CLOCK_MONOTONIC, which may be set at any time.
///
/// They are ordered by their own clock. The engine's timers hold one node for all of them: when to
/// look at the clock again. Guarded by the engine's lock.
class clock_timers {
public:
    clock_timers() noexcept {
        look.of = timer_node::kind::look;
        look.clock = this;
    }
    clock_timers(const clock_timers&) = delete;
    clock_timers& operator=(const clock_timers&) = delete;

    virtual std::size_t size() const noexcept = 0;
    /// Makes room for one more timer.
    virtual void reserve() = 0;
    /// Adds a timer that is not armed. True if it is the first to expire.
    virtual bool arm(timer_node& t) noexcept = 0;
    /// Takes out a timer that is armed.
    virtual void remove(timer_node& t) noexcept = 0;
    /// Puts `to` in the place of `from`, which is armed.
    virtual void replace(timer_node& from, timer_node& to) noexcept = 0;
    /// Takes out timers whose expiry has come, the first ones first. Gives their number.
    virtual std::size_t expire(std::span<timer_node*> due) noexcept = 0;
    /// Any timer, for removing them all; or null.
    virtual timer_node* any() const noexcept = 0;
    /// When, on CLOCK_MONOTONIC, to look at the clock again. Precondition: there are some.
    virtual std::int64_t look_again_ns() const noexcept = 0;

    clock_timer_node look;

protected:
    ~clock_timers() = default;
};

/// The `clock_timers` of a context for the clock of `Traits`, an Asio time traits class.
template <class Traits>
class clock_timers_of final : public boost::asio::execution_context::service, public clock_timers {
public:
    using key_type = clock_timers_of;
    using time_type = typename Traits::time_type;
    struct timer : clock_timer_node {
        time_type expiry{};
    };

    static inline boost::asio::execution_context::id id;

    explicit clock_timers_of(boost::asio::execution_context& context) : service(context) {}

    /// How long until `expiry`, and a second at most: the clock may be set meanwhile. Wait traits may
    /// shorten that.
    static std::int64_t remaining_ns(const time_type& expiry) {
        constexpr std::int64_t most_us = 1'000'000;
        const auto left = Traits::to_posix_duration(Traits::subtract(expiry, Traits::now()));
        const std::int64_t us = left.total_microseconds();
        // A wait shorter than the traits' unit still has to pass before the expiry is looked at.
        return us >= most_us ? most_us * 1'000 : (std::max<std::int64_t>(us, 0) + 1) * 1'000;
    }

    std::size_t size() const noexcept override { return heap_.size(); }
    void reserve() override {
        if (heap_.size() == heap_.capacity()) {
            heap_.reserve(std::max<std::size_t>(16, 2 * heap_.capacity()));
        }
    }
    bool arm(timer_node& t) noexcept override {
        t.armed = true;
        heap_.push(static_cast<timer&>(t).expiry, t);
        return heap_.front().timer == &t;
    }
    void remove(timer_node& t) noexcept override {
        t.armed = false;
        heap_.remove(t);
    }
    void replace(timer_node& from, timer_node& to) noexcept override {
        to.at = static_cast<timer_node::place>(from.at);
        from.at = timer_node::place::none;
        to.armed = std::exchange(from.armed, false);
        to.index = from.index;
        heap_.replace(to.index, to);
    }
    std::size_t expire(std::span<timer_node*> due) noexcept override {
        const auto now = Traits::now();
        std::size_t n = 0;
        while (n < due.size() && !heap_.empty() && !Traits::less_than(now, heap_.front().key)) {
            due[n] = heap_.front().timer;
            remove(*due[n++]);
        }
        return n;
    }
    timer_node* any() const noexcept override {
        return heap_.empty() ? nullptr : heap_.front().timer;
    }
    std::int64_t look_again_ns() const noexcept override {
        return Traits::less_than(Traits::now(), heap_.front().key)
                   ? monotonic_now_ns() + remaining_ns(heap_.front().key)
                   : std::numeric_limits<std::int64_t>::min();
    }

private:
    struct earlier {
        bool operator()(const time_type& a, const time_type& b) const {
            return Traits::less_than(a, b);
        }
    };

    void shutdown() override {}

    timer_heap<time_type, earlier> heap_;
};

}  // namespace rung::detail
