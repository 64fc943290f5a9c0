#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <ostream>
#include <rung/detail/fiber_deadline.hpp>
#include <rung/this_fiber.hpp>

#include "fiber_switch.hpp"

namespace rung {

struct this_fiber_access {
    static fiber_id make_id(const detail::fiber& f) noexcept {
        return {reinterpret_cast<std::uintptr_t>(&f), f.generation()};
    }
};

std::ostream& operator<<(std::ostream& out, const fiber_id& id) {
    return out << std::hex << id.stack_ << std::dec << '.' << id.generation_;
}

namespace detail {
namespace {

/// The alarm on which a fiber sleeps.
class sleep : private fiber_wait, private fiber_alarm {
public:
    explicit sleep(fiber& f) : fiber_alarm(f, &sleep::ended) {}
    ~sleep() { slot().clear(); }
    sleep(const sleep&) = delete;
    sleep& operator=(const sleep&) = delete;

    void until(clock::time_point when) {
        if (slot().is_connected()) {
            slot().assign([this](boost::asio::cancellation_type_t) { stop(); });
        }
        start(when);
        suspend();
        if (stopped_) {
            throw boost::system::system_error(boost::asio::error::operation_aborted);
        }
    }

private:
    static void ended(fiber_alarm& base, outcome how) {
        auto& self = static_cast<sleep&>(base);
        self.stopped_ = how == outcome::stopped;
        if (how == outcome::destroyed) {
            self.fiber_wait::abandon();
        } else {
            self.fiber_wait::complete();
        }
    }

    bool stopped_ = false;
};

}  // namespace
}  // namespace detail

namespace this_fiber {

using detail::fiber;
using detail::require_fiber;

bool exists() noexcept { return fiber::current() != nullptr; }

void yield() { require_fiber("rung::this_fiber::yield").yield(); }

void sleep_until(clock::time_point when) {
    detail::sleep(require_fiber("rung::this_fiber::sleep_until")).until(when);
}

boost::asio::any_io_executor get_executor() {
    return require_fiber("rung::this_fiber::get_executor").carrier().any();
}

fiber_id get_id() noexcept {
    const fiber* const f = fiber::current();
    return f != nullptr ? this_fiber_access::make_id(*f) : fiber_id();
}

priority get_priority() {
    return require_fiber("rung::this_fiber::get_priority").carrier().query(priority());
}

void set_priority(priority p) { require_fiber("rung::this_fiber::set_priority").set_priority(p); }

std::string_view get_name() { return require_fiber("rung::this_fiber::get_name").name(); }

void set_name(std::string_view name) { require_fiber("rung::this_fiber::set_name").set_name(name); }

boost::asio::cancellation_type_t cancelled() {
    const detail::fiber_cancellation* const c =
        require_fiber("rung::this_fiber::cancelled").cancellation();
    return c != nullptr ? c->requested : boost::asio::cancellation_type::none;
}

void throw_if_cancelled() {
    if (cancelled() != boost::asio::cancellation_type::none) {
        throw boost::system::system_error(boost::asio::error::operation_aborted,
                                          "the fiber was cancelled");
    }
}

void reset_cancellation() {
    if (detail::fiber_cancellation* const c =
            require_fiber("rung::this_fiber::reset_cancellation").cancellation()) {
        c->requested = boost::asio::cancellation_type::none;
    }
}

}  // namespace this_fiber
}  // namespace rung
