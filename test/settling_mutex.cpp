// The mutex of objects that mostly one thread uses.

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <rung/detail/settling_mutex.hpp>
#include <thread>

#include "thread_group.hpp"

using rung::detail::settling_mutex;

namespace {

/// Two plain counters that are equal outside the lock.
struct guarded {
    settling_mutex mutex;
    long a = 0;
    long b = 0;

    bool add() {
        const settling_mutex::guard lock(mutex);
        const bool sound = a == b;
        ++a;
        std::atomic_signal_fence(std::memory_order_seq_cst);  // one after the other
        ++b;
        return sound;
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(settling)

BOOST_AUTO_TEST_CASE(excludes_threads_that_come_in_bursts) {
    guarded g;
    std::atomic<long> torn = 0;
    constexpr int bursts = 200;
    constexpr int longest = 130;  // beyond what makes a thread the owner
    test::thread_group threads(3, [&](int number) {
        for (int i = 0; i < bursts; ++i) {
            for (int n = 0; n < 1 + (i * (number + 3)) % longest; ++n) {
                torn += g.add() ? 0 : 1;
            }
            if (i % 8 == number) {
                std::this_thread::sleep_for(std::chrono::microseconds(50));
            }
        }
    });
    threads.join();
    BOOST_TEST(torn == 0);
    BOOST_TEST(g.a == g.b);
}

BOOST_AUTO_TEST_CASE(two_of_them_are_taken_by_turns) {
    guarded first;
    guarded second;
    std::atomic<long> torn = 0;
    test::thread_group threads(2, [&](int number) {
        for (int i = 0; i < 20'000; ++i) {
            torn += first.add() ? 0 : 1;
            if (number == 0 || i % 500 == 0) {
                torn += second.add() ? 0 : 1;
            }
        }
    });
    threads.join();
    BOOST_TEST(torn == 0);
    BOOST_TEST(first.a == 40'000);
    BOOST_TEST(second.a == 20'040);
}

BOOST_AUTO_TEST_CASE(outlives_the_thread_that_owned_it) {
    guarded g;
    for (int i = 0; i < 4; ++i) {
        std::thread([&] {
            for (int n = 0; n < 200; ++n) {
                BOOST_REQUIRE(g.add());
            }
        }).join();
    }
    BOOST_TEST(g.a == 800);
}

BOOST_AUTO_TEST_SUITE_END()
