#include "work_count.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

using rung::detail::work_count;

BOOST_AUTO_TEST_CASE(what_one_side_begins_the_other_may_end) {
    work_count w;
    BOOST_TEST(w.settle());
    w.begin();
    BOOST_TEST(!w.settle());
    w.add(-1);
    BOOST_TEST(w.settle());
    w.add(1);
    BOOST_TEST(!w.settle());
    BOOST_TEST(!w.end_unless_last());
    w.end();
    BOOST_TEST(w.settle());
}

BOOST_AUTO_TEST_CASE(the_last_unit_is_told_from_the_others) {
    work_count w;
    w.begin();
    w.add(1);
    BOOST_TEST(!w.settle());
    BOOST_TEST(w.end_unless_last());
    BOOST_TEST(!w.end_unless_last());
    BOOST_TEST(!w.settle());
}

BOOST_AUTO_TEST_CASE(while_the_loop_holds_a_unit_nobody_elses_is_the_last) {
    work_count w;
    w.hold();
    w.hold();
    for (int i = 0; i < 3; ++i) {
        w.begin();
        BOOST_TEST(w.end_unless_last());
    }
    BOOST_TEST(w.settle());
    w.begin();
    BOOST_TEST(!w.end_unless_last());
}

/// The loop settles again and again, as before each sleep, while others end work: exactly one of the
/// two sides sees the end.
BOOST_AUTO_TEST_CASE(the_end_is_never_missed) {
    constexpr int rounds = 2'000;
    constexpr int others = 2;
    int ends = 0;
    for (int round = 0; round < rounds; ++round) {
        work_count w;
        std::mutex lock;
        std::atomic<bool> over{false};
        std::atomic<int> waiting{others};
        w.hold();
        w.add(1);
        for (int i = 0; i < others; ++i) {
            w.begin();
        }
        const auto meet = [&] {
            --waiting;
            while (waiting > 0) {
            }
        };
        std::thread other([&] {
            meet();
            for (int i = 0; i < others; ++i) {
                if (!w.end_unless_last()) {
                    const std::lock_guard guard(lock);
                    w.end();
                    over = true;  // as waking a loop that sleeps
                }
            }
        });
        meet();
        {
            const std::lock_guard guard(lock);
            w.add(-1);
            over = w.settle() || over;
        }
        other.join();
        ends += over && w.settle() ? 1 : 0;
    }
    BOOST_TEST(ends == rounds);
}
