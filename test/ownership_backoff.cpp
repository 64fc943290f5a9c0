#include "ownership_backoff.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>

using rung::detail::ownership_backoff;

namespace {

constexpr std::int64_t start_ns = 1'000'000'000'000;
constexpr std::int64_t step_ns = 100'000;

/// Asks every step until the lock may be owned; gives how long that took.
std::int64_t time_until_owned(ownership_backoff& b, std::uint64_t visits, std::int64_t& now_ns) {
    const std::int64_t begin_ns = now_ns;
    while (!b.may_own(visits, now_ns)) {
        now_ns += step_ns;
    }
    return now_ns - begin_ns;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_rare_visit_costs_the_shortest_time) {
    ownership_backoff b;
    std::int64_t now_ns = start_ns;
    for (std::uint64_t visits = 1; visits < 5; ++visits) {
        BOOST_TEST(time_until_owned(b, visits, now_ns) == ownership_backoff::shortest_ns);
        now_ns += ownership_backoff::worthwhile_ns;
    }
}

BOOST_AUTO_TEST_CASE(visits_that_go_on_keep_the_lock_without_owner) {
    ownership_backoff b;
    std::int64_t now_ns = start_ns;
    for (std::uint64_t visits = 0; visits < 1'000; ++visits) {
        BOOST_TEST(!b.may_own(visits, now_ns));
        now_ns += ownership_backoff::shortest_ns / 2;
    }
}

BOOST_AUTO_TEST_CASE(ownerships_that_do_not_last_are_ever_rarer_up_to_a_limit) {
    ownership_backoff b;
    std::int64_t now_ns = start_ns;
    std::int64_t expected_ns = ownership_backoff::shortest_ns;
    for (std::uint64_t visits = 1; visits < 12; ++visits) {
        BOOST_TEST(time_until_owned(b, visits, now_ns) == expected_ns);
        now_ns += step_ns;
        expected_ns = std::min(2 * expected_ns, ownership_backoff::longest_ns);
    }
    BOOST_TEST(expected_ns == ownership_backoff::longest_ns);
    now_ns += ownership_backoff::worthwhile_ns;
    BOOST_TEST(time_until_owned(b, 99, now_ns) == ownership_backoff::shortest_ns);
}
