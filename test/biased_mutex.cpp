#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <rung/config.hpp>
#include <rung/detail/biased_mutex.hpp>
#include <thread>
#include <vector>

using rung::detail::biased_mutex;
using held = rung::detail::biased_mutex::held;

namespace {

#if defined(RUNG_TSAN)
constexpr bool may_own = false;
#else
constexpr bool may_own = true;
#endif

constexpr std::chrono::milliseconds stress_time{600};

/// What the mutex guards: two plain counters that are equal outside the lock.
class guarded {
public:
    explicit guarded(biased_mutex& m) : mutex_(m) {}

    /// Counts one and gives how the lock was taken.
    held count() {
        const held h = mutex_.lock();
        enter();
        mutex_.unlock(h);
        return h;
    }

    /// Counts one, as the owner or not at all.
    bool try_count() {
        if (!mutex_.try_lock_as_owner()) {
            return false;
        }
        enter();
        mutex_.unlock_as_owner();
        return true;
    }

    /// Counts one and does `f` within the lock.
    template <class F>
    void count_and(F f) {
        const held h = mutex_.lock();
        enter();
        f(h);
        mutex_.unlock(h);
    }

    std::uint64_t total() const { return first_; }
    bool torn() const { return torn_; }

private:
    void enter() {
        torn_ = torn_ || first_ != second_;
        ++first_;
        // Time enough for a second thread to be noticed, should it get in.
        for (int i = 0; i < 32; ++i) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        ++second_;
    }

    biased_mutex& mutex_;
    std::uint64_t first_ = 0;
    std::uint64_t second_ = 0;
    bool torn_ = false;
};

void own(biased_mutex& m) {
    const held h = m.lock();
    m.own();
    m.unlock(h);
}

}  // namespace

BOOST_AUTO_TEST_CASE(at_first_nobody_owns_it) {
    biased_mutex m;
    BOOST_TEST(!m.try_lock_as_owner());
    const held h = m.lock();
    BOOST_TEST((h == held::by_mutex));
    BOOST_TEST(m.borrows() == 0U);
    m.unlock(h);
}

BOOST_AUTO_TEST_CASE(the_owner_locks_without_the_mutex_inside) {
    biased_mutex m;
    own(m);
    for (int i = 0; i < 3; ++i) {
        const held h = m.lock();
        BOOST_TEST((h == held::as_owner) == may_own);
        if (may_own) {
            BOOST_TEST(m.native().try_lock());
            m.native().unlock();
        }
        m.unlock(h);
    }
    BOOST_TEST(m.try_lock_as_owner() == may_own);
    if (may_own) {
        m.unlock_as_owner();
    }
}

BOOST_AUTO_TEST_CASE(owning_twice_changes_nothing) {
    biased_mutex m;
    own(m);
    own(m);
    const held h = m.lock();
    BOOST_TEST((h == held::as_owner) == may_own);
    m.own();
    m.unlock(h);
    BOOST_TEST((m.lock() == held::as_owner) == may_own);
    m.unlock(may_own ? held::as_owner : held::by_mutex);
}

BOOST_AUTO_TEST_CASE(it_counts_as_owned_from_the_call_on) {
    biased_mutex m;
    const held h = m.lock();
    BOOST_TEST(!m.owned());
    m.own();
    BOOST_TEST(m.owned() == may_own);
    m.disown();
    BOOST_TEST(!m.owned());
    m.unlock(h);
}

BOOST_AUTO_TEST_CASE(another_thread_ends_the_ownership_once) {
    biased_mutex m;
    guarded data(m);
    own(m);
    for (int i = 0; i < 3; ++i) {
        held by{};
        std::thread([&] { by = data.count(); }).join();
        BOOST_TEST((by == held::by_mutex));
        BOOST_TEST((data.count() == held::by_mutex));
    }
    BOOST_TEST(data.total() == 6U);
    BOOST_TEST(m.borrows() == (may_own ? 1U : 0U));
    BOOST_TEST(m.visits() == 4U);  // the first was before anybody was at home
    own(m);
    BOOST_TEST((data.count() == held::as_owner) == may_own);
}

BOOST_AUTO_TEST_CASE(who_moves_in_is_no_visitor) {
    biased_mutex m;
    guarded data(m);
    std::thread([&] {
        data.count_and([&](held) { m.move_in(); });
        const std::uint64_t before = m.visits();
        data.count();
        BOOST_TEST(m.visits() == before);
    }).join();
    const std::uint64_t before = m.visits();
    data.count();
    BOOST_TEST(m.visits() == before + 1);
}

BOOST_AUTO_TEST_CASE(another_thread_may_become_the_owner) {
    biased_mutex m;
    guarded data(m);
    own(m);
    held by{};
    std::thread other([&] {
        own(m);
        by = data.count();
    });
    other.join();
    BOOST_TEST((by == held::as_owner) == may_own);
    BOOST_TEST(!m.try_lock_as_owner());
    BOOST_TEST((data.count() == held::by_mutex));
}

BOOST_AUTO_TEST_CASE(after_disown_it_is_a_plain_mutex) {
    biased_mutex m;
    guarded data(m);
    own(m);
    std::thread([&] {
        data.count_and([&](held h) {
            BOOST_TEST((h == held::by_mutex));
            m.disown();
        });
    }).join();
    BOOST_TEST(!m.try_lock_as_owner());
    BOOST_TEST((data.count() == held::by_mutex));
    const std::uint64_t borrows = m.borrows();
    std::thread([&] { data.count(); }).join();
    BOOST_TEST(m.borrows() == borrows);
}

BOOST_AUTO_TEST_CASE(the_native_mutex_serves_a_condition_variable_once_nobody_owns_it) {
    biased_mutex m;
    std::condition_variable ready;
    bool flag = false;
    own(m);
    held h = m.lock();
    if (h == held::as_owner) {
        // The owner cannot disown while it is inside as such; another thread does it.
        m.unlock(h);
        std::thread([&] {
            const held theirs = m.lock();
            m.disown();
            m.unlock(theirs);
        }).join();
        h = m.lock();
    }
    BOOST_REQUIRE((h == held::by_mutex));
    std::thread setter([&] {
        const held theirs = m.lock();
        flag = true;
        ready.notify_one();
        m.unlock(theirs);
    });
    std::unique_lock lock(m.native(), std::adopt_lock);
    BOOST_TEST(ready.wait_for(lock, std::chrono::seconds(20), [&] { return flag; }));
    lock.release();
    m.unlock(h);
    setter.join();
}

BOOST_AUTO_TEST_CASE(the_lock_of_an_owner_that_ended_can_be_taken) {
    biased_mutex m;
    guarded data(m);
    for (int i = 0; i < 50; ++i) {
        // Each of these may inherit the place, and with it the ownership, of the one before.
        std::thread([&] {
            data.count();
            own(m);
            data.count();
        }).join();
        data.count();
    }
    BOOST_TEST(data.total() == 150U);
    BOOST_TEST(!data.torn());
}

BOOST_AUTO_TEST_CASE(an_owner_and_others_never_are_inside_together) {
    constexpr int others = 3;
    biased_mutex m;
    guarded data(m);
    std::atomic<std::uint64_t> counted{0};
    std::atomic<bool> stop{false};
    own(m);
    std::vector<std::thread> threads;
    for (int i = 0; i < others; ++i) {
        threads.emplace_back([&] {
            std::uint64_t n = 0;
            for (; !stop.load(std::memory_order_relaxed); ++n) {
                data.count();
            }
            counted += n;
        });
    }
    std::uint64_t owner_counts = 0;
    const auto end = std::chrono::steady_clock::now() + stress_time;
    for (std::uint64_t n = 0; n % 1'024 != 0 || std::chrono::steady_clock::now() < end; ++n) {
        if (n % 4 == 0) {
            owner_counts += data.try_count() ? 1 : 0;
        } else {
            data.count_and([&](held) { m.own(); });
            ++owner_counts;
        }
    }
    stop.store(true);
    for (std::thread& t : threads) {
        t.join();
    }
    BOOST_TEST(data.total() == owner_counts + counted.load());
    BOOST_TEST(!data.torn());
    BOOST_TEST((m.borrows() > 0) == may_own);
}

BOOST_AUTO_TEST_CASE(threads_that_take_the_ownership_from_each_other_never_are_inside_together) {
    biased_mutex m;
    guarded data(m);
    std::atomic<std::uint64_t> counted{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            std::uint64_t n = 0;
            for (; !stop.load(std::memory_order_relaxed); ++n) {
                data.count_and([&m, what = (n + i * 37) % 64](held h) {
                    if (h == held::by_mutex && what == 0) {
                        m.own();
                    } else if (h == held::by_mutex && what == 40) {
                        m.disown();
                    }
                });
            }
            counted += n;
        });
    }
    std::this_thread::sleep_for(stress_time);
    stop.store(true);
    for (std::thread& t : threads) {
        t.join();
    }
    BOOST_TEST(data.total() == counted.load());
    BOOST_TEST(!data.torn());
}
