#include "timers.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "allocations.hpp"

using rung::detail::timer_node;
using rung::detail::timers;

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t year = 365 * 24 * 3'600 * second;

void arm(timers& t, timer_node& n, std::int64_t deadline_ns) {
    n.deadline_ns = deadline_ns;
    t.reserve();
    t.arm(n);
}

/// The next timer that is due, however much has to be moved for it.
timer_node* expire(timers& t, std::int64_t now_ns) {
    timer_node* due = nullptr;
    do {
        const std::uint64_t before = t.moves();
        due = t.expire(now_ns);
        BOOST_REQUIRE(t.moves() - before <= timers::most_moves);
    } while (due == nullptr && t.behind());
    return due;
}

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
            timer_node* const t = ::expire(timers_, now_ns);
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
        node->of = of_disarmed_ == entries::stay ? timer_node::kind::repeated
                                              : timer_node::kind::single;
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
std::int64_t any_span(std::mt19937_64& random) {
    const auto bits = static_cast<unsigned>(random() % 58);
    return static_cast<std::int64_t>(random() & ((std::uint64_t{1} << bits) - 1));
}

void random_operations(std::uint64_t seed, std::int64_t start_ns, int steps,
                       entries of_disarmed = entries::leave) {
    std::mt19937_64 random(seed);
    checked_timers t(60, of_disarmed);
    std::int64_t now_ns = start_ns;
    for (int i = 0; i < steps; ++i) {
        const std::size_t n = random() % t.size();
        switch (random() % 8) {
            case 0:
            case 1:
            case 2:
                t.disarm(n);
                t.arm(n, now_ns + any_span(random));
                break;
            case 3:
                t.disarm(n);
                t.arm(n, now_ns - any_span(random));  // over already
                break;
            case 4:
                t.disarm(n);
                break;
            case 5:
                t.replace(n);
                break;
            case 6:
                now_ns += any_span(random) % (now_ns < start_ns + 100 * year ? year : 1'000);
                t.expire(now_ns);
                break;
            default:
                if (t.earliest() != timers::never) {
                    now_ns = std::max(now_ns,
                                      t.earliest() - 1 + static_cast<std::int64_t>(random() % 3));
                    t.expire(now_ns);
                }
                break;
        }
        t.check();
    }
    t.drain();
}

}  // namespace

BOOST_AUTO_TEST_CASE(without_timers_nothing_expires_and_the_next_time_is_never) {
    timers t;
    BOOST_TEST(t.empty());
    BOOST_TEST(t.size() == 0U);
    BOOST_TEST(t.next_ns() == timers::never);
    BOOST_TEST(t.any() == nullptr);
    BOOST_TEST(t.expire(0) == nullptr);
    BOOST_TEST(t.expire(100 * year) == nullptr);
    timer_node n;
    t.disarm(n);
    BOOST_TEST(t.size() == 0U);
}

BOOST_AUTO_TEST_CASE(a_timer_expires_at_its_deadline_and_not_a_nanosecond_before) {
    constexpr std::int64_t spans[] = {1,      65'535,         65'536, 65'537,    1'000'000,
                                      second, 3'600 * second, year,   200 * year};
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}, 5 * second, 90 * year}) {
        for (const std::int64_t span : spans) {
            timers t;
            timer_node n;
            BOOST_TEST(t.expire(start) == nullptr);
            arm(t, n, start + span);
            BOOST_TEST(t.next_ns() <= start + span);
            BOOST_TEST(t.expire(start + span - 1) == nullptr);
            BOOST_TEST(t.expire(start + span) == &n);
            BOOST_TEST(t.empty());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_deadline_in_the_past_expires_at_once_and_first) {
    timers t;
    timer_node due, past, long_past;
    t.expire(1'000 * second);
    arm(t, due, 1'000 * second);
    arm(t, past, 10);
    arm(t, long_past, std::numeric_limits<std::int64_t>::min());
    BOOST_TEST(t.next_ns() == std::numeric_limits<std::int64_t>::min());
    BOOST_TEST(t.expire(1'000 * second) == &long_past);
    BOOST_TEST(t.expire(1'000 * second) == &past);
    BOOST_TEST(t.expire(1'000 * second) == &due);
    BOOST_TEST(t.expire(1'000 * second) == nullptr);
}

BOOST_AUTO_TEST_CASE(a_deadline_at_the_end_of_time_waits_and_can_be_disarmed) {
    timers t;
    timer_node n, m;
    t.expire(50 * year);
    arm(t, n, timers::never);
    arm(t, m, timers::never - 1);
    BOOST_TEST(t.expire(100 * year) == nullptr);
    BOOST_TEST(t.next_ns() > 100 * year);
    t.disarm(n);
    BOOST_TEST(t.size() == 1U);
    BOOST_TEST(t.expire(timers::never - 1) == &m);
    arm(t, n, timers::never);
    BOOST_TEST(t.expire(timers::never) == &n);
}

BOOST_AUTO_TEST_CASE(next_brings_a_far_timer_near_in_few_steps) {
    // The wheel has eight levels, so that a timer moves at most so often before it expires.
    std::mt19937_64 random(3);
    for (int i = 0; i < 2'000; ++i) {
        checked_timers t(1);
        t.expire(any_span(random));
        t.arm(0, any_span(random));
        BOOST_REQUIRE(t.drain() <= 9U);
    }
}

BOOST_AUTO_TEST_CASE(a_far_jump_of_time_expires_everything_before_it_in_order) {
    std::mt19937_64 random(4);
    checked_timers t(3'000);
    for (std::size_t i = 0; i < t.size(); ++i) {
        t.arm(i, any_span(random));
    }
    t.expire(second);
    t.expire(30 * 24 * 3'600 * second);
    t.check();
    t.expire(std::int64_t{1} << 58);
    t.check();
    BOOST_TEST(t.earliest() == timers::never);
}

BOOST_AUTO_TEST_CASE(timers_with_one_deadline_all_expire) {
    checked_timers t(500);
    for (std::size_t i = 0; i < t.size(); ++i) {
        t.arm(i, 7 * second);
    }
    t.expire(7 * second - 1);
    t.check();
    t.expire(7 * second);
    BOOST_TEST(t.earliest() == timers::never);
}

BOOST_AUTO_TEST_CASE(random_operations_agree_with_a_multimap) {
    random_operations(5, 0, 30'000);
    random_operations(6, 1, 20'000);
    random_operations(7, 123'456'789'012'345, 30'000);
    random_operations(8, 90 * year, 30'000);
}

BOOST_AUTO_TEST_CASE(random_operations_agree_where_disarmed_timers_keep_their_entries) {
    random_operations(5, 0, 30'000, entries::stay);
    random_operations(6, 1, 20'000, entries::stay);
    random_operations(7, 123'456'789'012'345, 30'000, entries::stay);
    random_operations(8, 90 * year, 30'000, entries::stay);
}

BOOST_AUTO_TEST_CASE(a_replaced_timer_keeps_its_place_among_its_neighbours) {
    for (const std::int64_t deadline : {std::int64_t{5}, second, year}) {
        timers t;
        std::vector<timer_node> nodes(3);
        for (timer_node& n : nodes) {
            arm(t, n, deadline);
        }
        timer_node to;
        to.deadline_ns = deadline;
        t.replace(nodes[1], to);
        t.disarm(nodes[1]);  // nowhere, so nothing happens
        BOOST_TEST(t.size() == 3U);
        t.disarm(nodes[0]);
        t.disarm(nodes[2]);
        BOOST_TEST(t.expire(deadline) == &to);
        BOOST_TEST(t.empty());
    }
}

BOOST_AUTO_TEST_CASE(any_takes_out_every_timer_wherever_it_stands) {
    std::mt19937_64 random(9);
    std::vector<timer_node> nodes(1'000);
    timers t;
    t.expire(second);
    for (timer_node& n : nodes) {
        arm(t, n, any_span(random));
    }
    for (std::size_t left = nodes.size(); left != 0; --left) {
        BOOST_REQUIRE(t.size() == left);
        timer_node* const n = t.any();
        BOOST_REQUIRE(n != nullptr);
        t.disarm(*n);
    }
    BOOST_TEST(t.any() == nullptr);
    BOOST_TEST(t.next_ns() == timers::never);
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_timers_expire_in_order_however_many_are_disarmed) {
    constexpr std::size_t n = 100'000;
    std::mt19937_64 random(10);
    std::vector<timer_node> nodes(n);
    timers t;
    t.expire(40 * second);
    for (timer_node& node : nodes) {
        arm(t, node, 40 * second + static_cast<std::int64_t>(random() % (100 * second)));
    }
    BOOST_TEST(t.size() == n);
    std::size_t disarmed = 0;
    for (timer_node& node : nodes) {
        if (random() % 2 == 0) {
            t.disarm(node);
            ++disarmed;
        }
    }
    std::size_t expired = 0;
    bool in_order = true;
    std::int64_t last_ns = 0;
    for (std::int64_t now_ns = 0; now_ns <= 140 * second; now_ns += second / 10) {
        while (const timer_node* const node = expire(t, now_ns)) {
            in_order = in_order && node->deadline_ns >= last_ns && node->deadline_ns <= now_ns &&
                       node->deadline_ns > now_ns - second / 10;
            last_ns = node->deadline_ns;
            ++expired;
        }
    }
    BOOST_TEST(in_order);
    BOOST_TEST(expired + disarmed == n);
    BOOST_TEST(t.empty());
}

BOOST_AUTO_TEST_CASE(timers_for_which_there_was_no_memory_expire_in_order_all_the_same) {
    std::mt19937_64 random(12);
    checked_timers t(400);
    std::int64_t now_ns = 90 * year;
    t.expire(now_ns);
    for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < t.size(); ++i) {
            if (!t.armed(i)) {
                t.arm(i, now_ns + any_span(random) % year, random() % 3 != 0);
            }
        }
        for (std::size_t i = 0; i < t.size() / 4; ++i) {
            t.disarm(random() % t.size());
        }
        t.check();
        now_ns += any_span(random) % year;
        t.expire(now_ns, false);
        t.check();
    }
    t.drain();
}

BOOST_AUTO_TEST_CASE(once_there_is_room_arming_and_expiring_allocate_nothing) {
    if (!test::counts_allocations()) {
        return;
    }
    std::mt19937_64 random(11);
    std::vector<timer_node> nodes(5'000);
    timers t;
    std::int64_t now_ns = 0;
    std::uint64_t before = 0;
    for (int round = 0; round < 5; ++round) {
        for (timer_node& n : nodes) {
            arm(t, n, now_ns + any_span(random) % year);
        }
        now_ns += year;
        while (expire(t, now_ns) != nullptr) {
        }
        BOOST_REQUIRE(t.empty());
        if (round == 0) {
            before = test::allocations();
        }
    }
    BOOST_TEST(test::allocations() == before);
}

BOOST_AUTO_TEST_CASE(a_slot_of_many_timers_is_emptied_a_part_a_look_and_nothing_is_late) {
    constexpr std::size_t n = 100'000;
    constexpr std::int64_t slot = std::int64_t{1} << 40;  // 18 minutes, on level 4
    constexpr std::int64_t look = slot / 4096;
    std::mt19937_64 random(13);
    std::vector<timer_node> nodes(n);
    timers t;
    for (timer_node& node : nodes) {
        arm(t, node, slot + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(slot)));
    }
    std::uint64_t most = 0;
    std::int64_t latest_ns = 0;
    for (std::int64_t now_ns = 0; now_ns < 2 * slot + look; now_ns += look) {
        for (;;) {
            const std::uint64_t before = t.moves();
            const timer_node* const due = t.expire(now_ns);
            most = std::max(most, t.moves() - before);
            if (due == nullptr) {
                break;  // although there may be more: what is left has to be early enough next time
            }
            latest_ns = std::max(latest_ns, now_ns - due->deadline_ns);
        }
    }
    BOOST_TEST(most <= timers::most_moves);
    BOOST_TEST(latest_ns <= look);
    BOOST_TEST(t.empty());
}

BOOST_AUTO_TEST_CASE(after_a_jump_of_time_each_look_moves_a_part_and_the_next_one_goes_on) {
    constexpr std::size_t n = 100'000;
    std::mt19937_64 random(14);
    std::vector<timer_node> nodes(n);
    timers t;
    for (timer_node& node : nodes) {
        arm(t, node, year + static_cast<std::int64_t>(random() % 1'000'000));
    }
    const std::int64_t now_ns = 2 * year;
    std::size_t expired = 0;
    std::int64_t last_ns = 0;
    bool in_order = true;
    while (!t.empty()) {
        const std::uint64_t before = t.moves();
        const timer_node* const due = t.expire(now_ns);
        BOOST_REQUIRE(t.moves() - before <= timers::most_moves);
        if (due == nullptr) {
            BOOST_REQUIRE(t.behind());
            BOOST_REQUIRE(t.next_ns() <= now_ns);  // so that the loop does not sleep
            continue;
        }
        in_order = in_order && due->deadline_ns >= last_ns;
        last_ns = due->deadline_ns;
        ++expired;
    }
    BOOST_TEST(in_order);
    BOOST_TEST(expired == n);
    BOOST_TEST(!t.behind());
}

BOOST_AUTO_TEST_CASE(disarming_and_arming_for_later_moves_and_allocates_nothing) {
    std::vector<timer_node> nodes(100);
    timers t;
    for (timer_node& node : nodes) {
        node.of = timer_node::kind::repeated;
        arm(t, node, second);
    }
    const std::uint64_t before = test::allocations();
    for (std::int64_t i = 1; i <= 10'000; ++i) {
        for (timer_node& node : nodes) {
            t.disarm(node);
            arm(t, node, second + i);
        }
    }
    BOOST_TEST(t.moves() == 0U);
    BOOST_TEST((!test::counts_allocations() || test::allocations() == before));
    BOOST_TEST(expire(t, second + 9'999) == nullptr);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        BOOST_REQUIRE(expire(t, second + 10'000) != nullptr);
    }
    BOOST_TEST(t.any() == nullptr);
}

BOOST_AUTO_TEST_CASE(an_earlier_deadline_is_met_whatever_entry_was_left_behind) {
    for (const std::int64_t first : {std::int64_t{100'000}, second, year}) {
        for (const std::int64_t then : {std::int64_t{1}, std::int64_t{70'000}, second / 2}) {
            timers t;
            timer_node n;
            n.of = timer_node::kind::repeated;
            arm(t, n, first);
            t.disarm(n);
            BOOST_TEST(t.next_ns() == timers::never);
            arm(t, n, then);
            BOOST_TEST(t.next_ns() <= then);
            BOOST_TEST(expire(t, then - 1) == nullptr);
            BOOST_TEST(expire(t, then) == &n);
            BOOST_TEST(t.any() == nullptr);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_entry_of_a_disarmed_timer_goes_when_its_time_comes_or_with_the_timer) {
    timers t;
    timer_node stays, other;
    stays.of = timer_node::kind::repeated;
    arm(t, stays, second);
    arm(t, other, year);
    t.disarm(stays);
    BOOST_TEST(expire(t, 2 * second) == nullptr);
    BOOST_TEST((stays.at == timer_node::place::none));
    for (const std::int64_t deadline_ns : {2 * second + 1, 3 * second, 2 * year}) {
        auto n = std::make_unique<timer_node>();
        n->of = timer_node::kind::repeated;
        arm(t, *n, deadline_ns);
        t.disarm(*n);
        t.remove(*n);
    }
    BOOST_TEST(expire(t, year) == &other);
    BOOST_TEST(t.any() == nullptr);
}

BOOST_AUTO_TEST_CASE(with_a_few_timers_the_next_time_is_the_earliest_deadline) {
    std::mt19937_64 random(15);
    for (int i = 0; i < 1'000; ++i) {
        checked_timers t(8, entries::stay);
        for (std::size_t n = 0; n < t.size(); ++n) {
            t.arm(n, any_span(random));
            if (random() % 3 == 0) {
                t.disarm(n);
            }
        }
        BOOST_REQUIRE(t.drain() == 0U);
    }
}

BOOST_AUTO_TEST_CASE(memory_for_a_burst_of_timers_is_given_back_but_for_a_small_stock) {
    if (!test::counts_allocations()) {
        return;
    }
    constexpr std::size_t n = 300'000;
    std::vector<timer_node> nodes(n);
    const std::int64_t before = test::live_allocations();
    timers t;
    for (std::size_t i = 0; i < n; ++i) {
        arm(t, nodes[i], second + static_cast<std::int64_t>(i) * 1'000);
    }
    const std::int64_t armed = test::live_allocations() - before;
    for (timer_node& node : nodes) {
        t.disarm(node);
    }
    BOOST_TEST(armed > 4'000);
    BOOST_TEST(test::live_allocations() - before < 1'100);
}
