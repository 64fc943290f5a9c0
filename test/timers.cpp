#include "timers.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "allocations.hpp"
#include "checked_timers.hpp"

using namespace test;

namespace {

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
