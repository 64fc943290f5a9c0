#include "inbox.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <semaphore>
#include <thread>
#include <vector>

using rung::detail::inbox;
using rung::detail::level;
using rung::detail::operation;

namespace {

/// An operation that is only posted, never run.
class letter : public operation {
public:
    explicit letter(std::size_t from_ = 0, std::size_t number_ = 0) noexcept
        : operation(&letter::ignore, level::normal), from(from_), number(number_) {}
    letter(const letter& other) noexcept : letter(other.from, other.number) {}

    std::size_t from;
    std::size_t number;

private:
    static void ignore(operation*, action) {}
};

}  // namespace

BOOST_AUTO_TEST_CASE(an_empty_inbox_gives_nothing) {
    inbox box;
    BOOST_TEST(!box.filled());
    BOOST_TEST(box.take() == nullptr);
}

BOOST_AUTO_TEST_CASE(what_was_posted_comes_out_in_the_order_of_posting) {
    inbox box;
    std::vector<letter> letters(1'000);
    for (int round = 0; round < 3; ++round) {
        for (letter& l : letters) {
            BOOST_REQUIRE(!box.push(&l));  // nobody sleeps
        }
        BOOST_TEST(box.filled());
        const operation* at = box.take();
        for (letter& l : letters) {
            BOOST_REQUIRE(at == &l);
            at = at->next_;
        }
        BOOST_TEST(at == nullptr);
        BOOST_TEST(!box.filled());
    }
}

BOOST_AUTO_TEST_CASE(the_first_post_to_a_sleeper_has_to_wake_it_and_the_others_have_not) {
    inbox box;
    letter first;
    letter second;
    BOOST_TEST(box.sleep());
    BOOST_TEST(!box.filled());
    BOOST_TEST(box.push(&first));
    BOOST_TEST(!box.push(&second));
    BOOST_TEST(box.filled());
    const operation* const at = box.take();
    BOOST_TEST(at == &first);
    BOOST_TEST(at->next_ == &second);
    BOOST_TEST(at->next_->next_ == nullptr);
}

BOOST_AUTO_TEST_CASE(nobody_falls_asleep_on_a_full_inbox) {
    inbox box;
    letter l;
    box.push(&l);
    BOOST_TEST(!box.sleep());
    BOOST_TEST(box.take() == &l);
    BOOST_TEST(box.sleep());
}

BOOST_AUTO_TEST_CASE(an_interrupt_ends_a_sleep_once_and_loses_no_post) {
    inbox box;
    letter l;
    BOOST_TEST(!box.interrupt());  // nobody sleeps
    BOOST_TEST(box.sleep());
    BOOST_TEST(box.interrupt());
    BOOST_TEST(!box.interrupt());
    BOOST_TEST(!box.push(&l));
    BOOST_TEST(!box.interrupt());
    BOOST_TEST(box.take() == &l);
}

BOOST_AUTO_TEST_CASE(taking_ends_a_sleep) {
    inbox box;
    letter l;
    BOOST_TEST(box.sleep());
    BOOST_TEST(box.take() == nullptr);
    BOOST_TEST(!box.push(&l));
    BOOST_TEST(box.take() == &l);
}

BOOST_AUTO_TEST_CASE(eight_threads_post_to_a_loop_that_sleeps_and_nothing_is_lost_or_reordered) {
    constexpr std::size_t threads = 8;
    constexpr std::size_t posts = 20'000;
    inbox box;
    std::counting_semaphore<1'000'000> wake(0);
    std::atomic<std::uint64_t> wakes{0};
    std::vector<std::vector<letter>> letters(threads);
    for (std::size_t t = 0; t < threads; ++t) {
        for (std::size_t i = 0; i < posts; ++i) {
            letters[t].emplace_back(t, i);
        }
    }
    std::vector<std::thread> senders;
    for (auto& mine : letters) {
        senders.emplace_back([&] {
            for (letter& l : mine) {
                const bool asleep = l.number % 1'000 == 999 && box.interrupt();
                if (box.push(&l) || asleep) {
                    wakes.fetch_add(1, std::memory_order_relaxed);
                    wake.release();
                }
            }
        });
    }
    std::vector<std::size_t> next(threads, 0);
    std::size_t taken = 0;
    std::uint64_t sleeps = 0;
    bool in_order = true;
    bool in_time = true;
    while (taken < threads * posts && in_time) {
        if (box.sleep()) {
            ++sleeps;
            // One wake-up for each sleep, so that one left over would be found here as a sleep that
            // ends while nothing has come.
            in_time = wake.try_acquire_for(std::chrono::seconds(20));
        }
        const operation* at = box.take();
        while (at != nullptr) {
            const auto& l = static_cast<const letter&>(*at);
            in_order = in_order && l.number == next[l.from]++;
            ++taken;
            at = at->next_;
        }
    }
    for (std::thread& t : senders) {
        t.join();
    }
    BOOST_TEST(in_time);
    BOOST_TEST(in_order);
    BOOST_TEST(taken == threads * posts);
    BOOST_TEST(wakes.load() == sleeps);
}
