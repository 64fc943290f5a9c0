#include "run_queue.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using rung::detail::level;
using rung::detail::operation;
using rung::detail::run_queue;

namespace {

constexpr std::size_t levels = run_queue::levels;

/// An operation that is only queued, never run.
class item : public operation {
public:
    explicit item(level l = level::normal) noexcept : operation(&item::ignore, l) {}

private:
    static void ignore(operation*, action) {}
};

/// The same of one with a stack, where `has_stack_` promises one.
class stack_item : public rung::detail::stack_operation {
public:
    stack_item() noexcept : stack_operation(&stack_item::ignore, level::normal) {}

private:
    static void ignore(operation*, action) {}
};

/// A run queue with a model beside it that says what `pop` may give.
class checked_queue {
public:
    explicit checked_queue(unsigned limit) : limit_(limit), queue_(limit) {}

    /// A level's items are its own, and used again in turn.
    void push(std::size_t l) {
        item* op = nullptr;
        if (free_[l].empty()) {
            op = items_.emplace_back(std::make_unique<item>(static_cast<level>(l))).get();
        } else {
            op = free_[l].back();
            free_[l].pop_back();
        }
        if (waiting_[l].empty()) {
            waited_[l] = 0;
        }
        waiting_[l].push_back(op);
        queue_.push(op);
    }

    /// Takes one item out. False if that broke a rule.
    bool pop() {
        operation* const op = queue_.pop();
        if (op == nullptr) {
            return all_empty();
        }
        const auto l = static_cast<std::size_t>(op->level_);
        if (waiting_[l].empty() || waiting_[l].front() != op) {
            return false;  // not first in, first out
        }
        waiting_[l].pop_front();
        free_[l].push_back(static_cast<item*>(op));
        bool good = l == 0 || waited_[l] + 1 <= limit_;
        for (std::size_t other = 0; other < levels; ++other) {
            if (other == l || waiting_[other].empty()) {
                continue;
            }
            if (other < l && waited_[l] + 2 < limit_) {
                good = false;  // it overtook a higher level before its turn had come
            }
            ++waited_[other];
            if (other != 0 && waited_[other] >= limit_) {
                good = false;
            }
        }
        waited_[l] = 0;
        return good && queue_.size(l) == waiting_[l].size();
    }

    bool waits(std::size_t l) const { return !waiting_[l].empty(); }
    std::uint64_t popped(std::size_t l) const { return queue_.popped(l); }

private:
    bool all_empty() const {
        return queue_.empty() && waiting_[0].empty() && waiting_[1].empty() && waiting_[2].empty();
    }

    std::uint64_t limit_;
    run_queue queue_;
    std::vector<std::unique_ptr<item>> items_;
    std::array<std::vector<item*>, levels> free_;
    std::array<std::deque<item*>, levels> waiting_;
    std::array<std::uint64_t, levels> waited_{};  // handlers since this level began to wait
};

/// Every way of feeding the queue during `steps` handlers, from `backlog` items on each level.
/// Gives the number of ways in which a rule was broken.
std::uint64_t broken_ways(unsigned limit, unsigned steps, unsigned backlog) {
    std::uint64_t broken = 0;
    const std::uint64_t ways = std::uint64_t{1} << (levels * steps);
    for (std::uint64_t way = 0; way < ways; ++way) {
        checked_queue q(limit);
        for (unsigned i = 0; i < levels * backlog; ++i) {
            q.push(i % levels);
        }
        bool good = true;
        for (std::uint64_t left = way, i = 0; i < steps; ++i, left >>= levels) {
            for (std::size_t l = 0; l < levels; ++l) {
                if ((left >> l & 1U) != 0) {
                    q.push(l);
                }
            }
            good = q.pop() && good;
        }
        broken += good ? 0 : 1;
    }
    return broken;
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_empty_queue_gives_nothing) {
    run_queue q(64);
    BOOST_TEST(q.empty());
    BOOST_TEST(q.pop() == nullptr);
    item one;
    q.push(&one);
    BOOST_TEST(!q.empty());
    BOOST_TEST(q.pop() == &one);
    BOOST_TEST(q.empty());
    BOOST_TEST(q.pop() == nullptr);
}

BOOST_AUTO_TEST_CASE(one_level_runs_in_the_order_of_arrival) {
    for (const level l : {level::high, level::normal, level::low}) {
        run_queue q(3);
        std::vector<std::unique_ptr<item>> items;
        for (int i = 0; i < 1'000; ++i) {
            q.push(items.emplace_back(std::make_unique<item>(l)).get());
        }
        for (const auto& i : items) {
            BOOST_REQUIRE(q.pop() == i.get());
        }
    }
}

BOOST_AUTO_TEST_CASE(an_operation_with_a_stack_knows_another_further_back_that_is_queued_as_well) {
    constexpr std::size_t rounds = 1'000;
    std::mt19937 random(1);
    for (const std::size_t waiting : {1U, 900U, 1'025U, 2'000U}) {
        std::vector<stack_item> items(waiting);
        std::vector<item> plain(rounds);
        std::deque<operation*> model;
        run_queue q(64);
        std::size_t known = 0;
        const auto push = [&](operation& op) {
            q.push(&op);
            model.push_back(&op);
        };
        for (stack_item& i : items) {
            push(i);
        }
        for (std::size_t round = 0; round < rounds; ++round) {
            for (std::size_t i = 0; round % 50 == 0 && i < model.size(); ++i) {
                const operation* const ahead =
                    model[i]->has_stack_ ? static_cast<stack_item*>(model[i])->ahead_ : nullptr;
                if (ahead != nullptr) {
                    ++known;
                    BOOST_REQUIRE(i + 8 < model.size());
                    BOOST_REQUIRE(model[i + 8] == ahead);
                    for (std::size_t n = 1; n < 8; ++n) {
                        BOOST_REQUIRE(model[i + n]->has_stack_);
                    }
                }
            }
            operation* const op = q.pop();
            BOOST_REQUIRE(op == model.front());
            model.pop_front();
            if (op->has_stack_) {
                BOOST_REQUIRE(static_cast<stack_item*>(op)->ahead_ == nullptr);
                push(*op);
            }
            if (random() % 20 == 0) {
                push(plain[round]);
            }
        }
        BOOST_TEST((known > 0) == (waiting > 1'024));
    }
}

BOOST_AUTO_TEST_CASE(the_highest_waiting_level_runs_first) {
    item low(level::low);
    item normal(level::normal);
    item high(level::high);
    run_queue q(64);
    q.push(&low);
    q.push(&normal);
    q.push(&high);
    BOOST_TEST(q.pop() == &high);
    q.push(&high);
    BOOST_TEST(q.pop() == &high);
    BOOST_TEST(q.pop() == &normal);
    BOOST_TEST(q.pop() == &low);
}

BOOST_AUTO_TEST_CASE(it_counts_what_waits_and_what_was_taken_at_each_level) {
    std::array<item, 5> items{item(level::high), item(level::low), item(level::low),
                              item(level::normal), item(level::low)};
    run_queue q(64);
    for (item& i : items) {
        q.push(&i);
    }
    BOOST_TEST(q.size(0) == 1U);
    BOOST_TEST(q.size(1) == 1U);
    BOOST_TEST(q.size(2) == 3U);
    q.pop();
    q.pop();
    q.pop();
    BOOST_TEST(q.popped(0) == 1U);
    BOOST_TEST(q.popped(1) == 1U);
    BOOST_TEST(q.popped(2) == 1U);
    BOOST_TEST(q.size(2) == 2U);
}

BOOST_AUTO_TEST_CASE(no_way_of_posting_makes_a_level_wait_longer_than_the_limit) {
    BOOST_TEST(broken_ways(3, 5, 0) == 0U);
    BOOST_TEST(broken_ways(3, 5, 2) == 0U);
    BOOST_TEST(broken_ways(4, 5, 2) == 0U);
    BOOST_TEST(broken_ways(5, 5, 3) == 0U);
}

BOOST_AUTO_TEST_CASE(random_floods_make_no_level_wait_longer_than_the_limit) {
    std::minstd_rand random(1);
    for (const unsigned limit : {3U, 4U, 5U, 6U, 7U, 16U, 63U, 64U, 1'000U}) {
        checked_queue q(limit);
        std::uint64_t broken = 0;
        std::array<unsigned, levels> chance{};  // of 16, to post at this level before a handler
        for (int i = 0; i < 30'000; ++i) {
            if (i % 500 == 0) {
                chance = {static_cast<unsigned>(random() % 17), static_cast<unsigned>(random() % 9),
                          static_cast<unsigned>(random() % 5)};
            }
            for (std::size_t l = 0; l < levels; ++l) {
                if (random() % 16 < chance[l]) {
                    q.push(l);
                }
            }
            broken += q.pop() ? 0 : 1;
        }
        BOOST_TEST(broken == 0U, "limit " << limit << ": " << broken << " broken");
    }
}

BOOST_AUTO_TEST_CASE(under_a_flood_of_all_levels_each_lower_one_gets_its_share_and_no_more) {
    for (const unsigned limit : {3U, 10U, 64U}) {
        checked_queue q(limit);
        const unsigned handlers = 1'000 * limit;
        std::uint64_t broken = 0;
        for (unsigned i = 0; i < handlers; ++i) {
            for (std::size_t l = 0; l < levels; ++l) {
                if (!q.waits(l)) {
                    q.push(l);
                }
            }
            broken += q.pop() ? 0 : 1;
        }
        BOOST_TEST(broken == 0U);
        for (const std::size_t l : {std::size_t{1}, std::size_t{2}}) {
            BOOST_TEST(q.popped(l) >= 1'000U);
            BOOST_TEST(q.popped(l) <= 1'000U * limit / (limit - 2) + 1);
        }
        BOOST_TEST(q.popped(0) + q.popped(1) + q.popped(2) == handlers);
    }
}

BOOST_AUTO_TEST_CASE(a_level_that_was_empty_begins_to_wait_anew) {
    // Low had almost waited long enough when it ran; what comes next must wait its own time.
    constexpr unsigned limit = 8;
    run_queue q(limit);
    std::deque<item> high;
    for (int i = 0; i < 100; ++i) {
        q.push(&high.emplace_back(level::high));
    }
    item low(level::low);
    for (int round = 0; round < 3; ++round) {
        q.push(&low);
        for (unsigned i = 1; i < limit; ++i) {
            BOOST_TEST((q.pop()->level_ == level::high));
        }
        BOOST_TEST(q.pop() == &low);
    }
}
