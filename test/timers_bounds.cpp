// What a look at the timers costs, and what they keep: bounded work, bounded memory.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "allocations.hpp"
#include "checked_timers.hpp"
#include "timers.hpp"

using namespace test;

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
