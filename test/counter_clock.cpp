// The clock that extrapolates from a counter, over a counter and a CLOCK_MONOTONIC that the test
// moves: nothing here depends on the machine's clocks.
#include "counter_clock.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <random>

namespace {

constexpr std::int64_t us = 1'000;
constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t second = 1'000'000'000;

/// A machine with both clocks. Each reading takes time.
struct machine {
    static inline double now_ns = 0;
    static inline double counter = 0;
    static inline double ticks_a_ns = 0;
    static inline bool trust = true;
    static inline std::uint64_t monotonic_readings = 0;

    static void start(double rate = 2.4) {
        now_ns = 1e12;
        counter = 5e12;
        ticks_a_ns = rate;
        trust = true;
        monotonic_readings = 0;
    }
    static void pass(std::int64_t ns) {
        now_ns += static_cast<double>(ns);
        counter += static_cast<double>(ns) * ticks_a_ns;
    }
    static std::uint64_t ticks() {
        pass(10);
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(counter));
    }
    static std::int64_t monotonic_ns() {
        pass(20);
        ++monotonic_readings;
        return static_cast<std::int64_t>(now_ns);
    }
    static bool trusted() { return trust; }
    static void distrust() { trust = false; }
};

/// A clock of the machine, and what reading it shows.
struct reading {
    rung::detail::counter_clock<machine> clock;
    std::int64_t last_ns = 0;
    std::int64_t worst_ns = 0;
    bool stepped_back = false;

    void read() {
        const std::int64_t now_ns = clock.now_ns();
        worst_ns =
            std::max(worst_ns, std::abs(now_ns - static_cast<std::int64_t>(machine::now_ns)));
        stepped_back = stepped_back || now_ns < last_ns;
        last_ns = now_ns;
    }
    void read_for(std::int64_t time_ns, std::int64_t step_ns = 700) {
        const double end = machine::now_ns + static_cast<double>(time_ns);
        while (machine::now_ns < end) {
            machine::pass(step_ns);
            read();
        }
    }
    void check(std::int64_t most_ns) {
        BOOST_TEST(worst_ns < most_ns);
        BOOST_TEST(!stepped_back);
        worst_ns = 0;
    }
};

/// A clock that has found its counter's rate.
struct settled : reading {
    explicit settled(double rate = 2.4) {
        machine::start(rate);
        read_for(100 * ms);
        check(us);
        BOOST_TEST(machine::trust);
    }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_steady_counter_is_followed_and_saves_readings_of_the_system_clock) {
    for (const double rate : {0.05, 1.0, 2.4, 5.1}) {
        settled s(rate);
        machine::monotonic_readings = 0;
        s.read_for(second);
        s.check(us);
        BOOST_TEST(machine::trust);
        BOOST_TEST(machine::monotonic_readings < 12'000U);  // of 1.4 million
        s.read_for(100 * second, 37 * ms);                  // each beyond the anchor
        s.check(us);
        BOOST_TEST(machine::trust);
    }
}

BOOST_AUTO_TEST_CASE(a_jump_forward_makes_no_error_and_ends_the_use_of_the_counter) {
    for (const std::int64_t jump : {ms, 60 * second, 3'600 * second}) {
        settled s;
        machine::counter += static_cast<double>(jump) * machine::ticks_a_ns;
        s.read_for(second);
        s.check(ms);
        BOOST_TEST(!machine::trust);
        machine::counter -= 1e12;
        s.read_for(10 * ms);
        s.check(us);
    }
}

BOOST_AUTO_TEST_CASE(a_counter_that_begins_again_from_zero_makes_no_error_and_is_given_up) {
    settled s;
    machine::counter = 0;
    s.read_for(second);
    s.check(ms);
    BOOST_TEST(!machine::trust);
}

BOOST_AUTO_TEST_CASE(a_small_jump_makes_a_small_error_and_never_a_step_back) {
    for (const std::int64_t jump : {-900 * us, -150 * us, -us, us, 150 * us, 900 * us}) {
        for (int phase = 0; phase < 50; ++phase) {
            settled s;
            s.read_for(phase * 7 * us);
            machine::counter += static_cast<double>(jump) * machine::ticks_a_ns;
            s.read_for(20 * ms);
            s.check(ms);
        }
    }
}

BOOST_AUTO_TEST_CASE(
    a_counter_that_changes_its_rate_is_given_up_before_the_error_is_a_millisecond) {
    for (const double factor : {0.25, 0.5, 0.9, 1.1, 2.0, 10.0}) {
        settled s;
        machine::ticks_a_ns *= factor;
        s.read_for(second);
        s.check(ms);
        BOOST_TEST(!machine::trust);
    }
}

BOOST_AUTO_TEST_CASE(a_jump_while_nobody_reads_does_not_spoil_the_rate) {
    // At every moment of the clock's beginnings, when there is no rate to compare with yet.
    for (std::int64_t before = 0; before < 50 * ms; before += ms / 2) {
        machine::start();
        reading s;
        s.read_for(before);
        machine::counter += 60e9 * machine::ticks_a_ns;
        machine::pass(second);
        s.read_for(200 * ms);
        s.check(ms);
    }
}

BOOST_AUTO_TEST_CASE(random_jumps_pauses_and_rates_never_make_an_error_of_a_millisecond) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 300; ++round) {
        machine::start();
        reading s;
        for (int i = 0; i < 20; ++i) {
            s.read_for(static_cast<std::int64_t>(random() % (30 * ms)));
            switch (random() % 4) {
                case 0:
                    machine::pass(static_cast<std::int64_t>(random() % second));
                    break;
                case 1:
                    machine::counter += static_cast<double>(random() % (100 * second));
                    break;
                case 2:
                    machine::ticks_a_ns = 2.4 + static_cast<double>(random() % 1'000) / 1e6;
                    break;
                default:
                    machine::trust = true;  // it is tried once more
                    break;
            }
        }
        s.check(ms);
    }
}

BOOST_AUTO_TEST_CASE(a_counter_that_is_not_trusted_is_not_read) {
    machine::start();
    machine::trust = false;
    reading s;
    s.read_for(50 * ms);
    s.check(us);
    BOOST_TEST(machine::monotonic_readings > 60'000U);
}
