#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "allocations.hpp"
#include "timers.hpp"

namespace test {

using rung::detail::timer_node;
using rung::detail::timers;

inline constexpr std::int64_t second = 1'000'000'000;
inline constexpr std::int64_t year = 365 * 24 * 3'600 * second;

inline void arm(timers& t, timer_node& n, std::int64_t deadline_ns) {
    n.deadline_ns = deadline_ns;
    t.reserve();
    t.arm(n);
}

/// The next timer that is due, however much has to be moved for it.
inline timer_node* expire(timers& t, std::int64_t now_ns) {
    timer_node* due = nullptr;
    do {
        const std::uint64_t before = t.moves();
        due = t.expire(now_ns);
        BOOST_REQUIRE(t.moves() - before <= timers::most_moves);
    } while (due == nullptr && t.behind());
    return due;
}

/// What becomes of the entries of timers that are disarmed.
enum class entries : bool { leave, stay };

/// Timers with a multimap beside them that says what they have to do.
class checked_timers {
public:
    using model_type = std::multimap<std::int64_t, timer_node*>;

    explicit checked_timers(std::size_t n, entries of_disarmed = entries::leave)
        : nodes_(n), place_(n), armed_(n), of_disarmed_(of_disarmed) {
        for (std::size_t i = 0; i < n; ++i) {
            nodes_[i] = new_node();
        }
    }

    std::size_t size() const { return nodes_.size(); }
    bool armed(std::size_t i) const { return armed_[i]; }
    std::int64_t earliest() const { return model_.empty() ? timers::never : model_.begin()->first; }

    /// Without `memory`, what arming would like to allocate is not to be had.
    void arm(std::size_t i, std::int64_t deadline_ns, bool memory = true) {
        nodes_[i]->deadline_ns = deadline_ns;
        timers_.reserve();
        test::fail_allocation(memory ? 0 : 1);
        timers_.arm(*nodes_[i]);
        test::fail_allocation(0);
        place_[i] = model_.emplace(deadline_ns, nodes_[i].get());
        armed_[i] = true;
    }

    void disarm(std::size_t i) {
        timers_.disarm(*nodes_[i]);
        if (armed_[i]) {
            model_.erase(place_[i]);
            armed_[i] = false;
        }
    }

    /// A new node takes the place of an old one, which is then gone.
    void replace(std::size_t i) {
        auto other = new_node();
        other->deadline_ns = nodes_[i]->deadline_ns;
        timers_.replace(*nodes_[i], *other);
        nodes_[i] = std::move(other);
        if (armed_[i]) {
            place_[i]->second = nodes_[i].get();
        }
    }

    /// Expires everything up to `now_ns`, and checks what comes and in which order.
    void expire(std::int64_t now_ns, bool memory = true) {
        const auto next = [&] {
            test::fail_allocation(memory ? 0 : 1);  // timers may have to move before one comes out
            timer_node* const t = test::expire(timers_, now_ns);
            test::fail_allocation(0);
            return t;
        };
        while (timer_node* const t = next()) {
            BOOST_REQUIRE(t->deadline_ns <= now_ns);
            BOOST_REQUIRE(t->deadline_ns == earliest());
            BOOST_REQUIRE((t->at == timer_node::place::none));
            forget(t);
        }
        BOOST_REQUIRE(earliest() > now_ns);
    }

    void check() const {
        BOOST_REQUIRE(timers_.size() == model_.size());
        BOOST_REQUIRE(timers_.empty() == model_.empty());
        if (of_disarmed_ == entries::leave || !model_.empty()) {
            BOOST_REQUIRE((timers_.any() == nullptr) == model_.empty());
        }
        const std::int64_t next_ns = timers_.next_ns();
        if (model_.empty()) {
            BOOST_REQUIRE(next_ns == timers::never);
        } else {
            BOOST_REQUIRE(next_ns <= earliest());
        }
    }

    /// Runs as the loop does, from one `next_ns` to the next; gives how often it looked in vain.
    std::size_t drain() {
        std::size_t in_vain = 0;
        while (!timers_.empty()) {
            const std::size_t before = timers_.size();
            expire(timers_.next_ns());
            in_vain += timers_.size() == before ? 1 : 0;
            check();
        }
        return in_vain;
    }

private:
    std::unique_ptr<timer_node> new_node() const {
        auto node = std::make_unique<timer_node>();
        node->of =
            of_disarmed_ == entries::stay ? timer_node::kind::repeated : timer_node::kind::single;
        return node;
    }

    void forget(timer_node* t) {
        const auto [first, last] = model_.equal_range(t->deadline_ns);
        const auto found = std::find_if(first, last, [t](auto& e) { return e.second == t; });
        BOOST_REQUIRE((found != last));
        model_.erase(found);
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            if (nodes_[i].get() == t) {
                armed_[i] = false;
            }
        }
    }

    timers timers_;
    model_type model_;
    std::vector<std::unique_ptr<timer_node>> nodes_;
    std::vector<model_type::iterator> place_;
    std::vector<bool> armed_;
    entries of_disarmed_;
};

/// A time span of any magnitude from nanoseconds to years.
inline std::int64_t any_span(std::mt19937_64& random) {
    const auto bits = static_cast<unsigned>(random() % 58);
    return static_cast<std::int64_t>(random() & ((std::uint64_t{1} << bits) - 1));
}

}  // namespace test
