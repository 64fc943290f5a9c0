// Joining: the first operation of a pack or a range that is done.

#include <rung/any.hpp>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <rung/all.hpp>
#include <string>
#include <thread>
#include <vector>

#include "batch.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace test;
using rung::make_operation;

namespace {

BOOST_AUTO_TEST_CASE(the_first_that_is_done_wins_and_the_losers_are_waited_for) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<int>();
    auto [c, third] = make_operation<int>();
    rung::operation<rung::any_result<int>> op =
        rung::any(std::move(first), std::move(second), std::move(third));
    b.set_done(2);
    BOOST_TEST(op.state() == state::running);
    BOOST_TEST(a.cancel_requested());
    BOOST_TEST(c.cancel_requested());
    a.set_cancelled();
    BOOST_TEST(!op.ready());
    c.set_done(3);  // too late
    const auto [index, value] = op.get();
    BOOST_TEST(index == 1U);
    BOOST_TEST(value == 2);
}

BOOST_AUTO_TEST_CASE(values_of_several_types_come_as_a_variant) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<std::string>();
    auto [c, third] = make_operation<>();
    auto op = rung::any(std::move(first), std::move(second), std::move(third));
    a.on_cancel([&a = a] { a.set_cancelled(); });
    c.on_cancel([&c = c] { c.set_cancelled(); });
    b.set_done("won");
    const auto result = op.get();
    BOOST_TEST(result.index == 1U);
    BOOST_TEST(std::get<1>(result.value) == "won");
    static_assert(
        std::is_same_v<decltype(result.value), std::variant<int, std::string, std::monostate>>);
}

BOOST_AUTO_TEST_CASE(without_values_there_is_the_index) {
    auto [a, first] = make_operation<>();
    auto [b, second] = make_operation<>();
    rung::operation<std::size_t> op = rung::any(std::move(first), std::move(second));
    b.set_done();
    a.set_done();
    BOOST_TEST(op.get() == 1U);
}

BOOST_AUTO_TEST_CASE(a_failure_does_not_win) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<int>();
    auto op = rung::any(std::move(first), std::move(second));
    a.set_failed(refused);
    BOOST_TEST(!b.cancel_requested());
    b.set_done(2);
    BOOST_TEST(op.get().index == 1U);
}

BOOST_AUTO_TEST_CASE(where_none_is_done_it_ends_as_the_first_did) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<int>();
    auto op = rung::any(std::move(first), std::move(second));
    b.set_failed(refused);
    a.set_failed(timed_out);
    BOOST_TEST(op.state() == state::failed);
    BOOST_TEST(op.error() == refused);
}

BOOST_AUTO_TEST_CASE(any_of_a_range) {
    batch<int> b(100);
    for (auto& s : b.sources) {
        s.on_cancel([&s] { s.set_cancelled(); });
    }
    auto op = rung::any(std::move(b.operations));
    b.sources[42].set_done(7);
    const auto [index, value] = op.get();
    BOOST_TEST(index == 42U);
    BOOST_TEST(value == 7);
}

BOOST_AUTO_TEST_CASE(any_of_none_fails) {
    auto op = rung::any(std::vector<rung::operation<int>>());
    BOOST_TEST(op.error() == error_code(boost::asio::error::invalid_argument));
}

BOOST_AUTO_TEST_CASE(one_that_has_ended_already_wins) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<int>();
    b.set_done(1);
    auto op = rung::any(std::move(first), std::move(second));
    BOOST_TEST(a.cancel_requested());
    a.set_cancelled();
    BOOST_TEST(op.get().index == 1U);
}

BOOST_AUTO_TEST_CASE(cancel_asks_all_of_them) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<int>();
    a.on_cancel([&a = a] { a.set_cancelled(); });
    b.on_cancel([&b = b] { b.set_cancelled(); });
    auto op = rung::any(std::move(first), std::move(second));
    op.cancel();
    BOOST_TEST(op.state() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(a_race_of_joins) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<int>();
    auto [c, third] = make_operation<int>();
    auto op =
        rung::any(rung::all(std::move(first), std::move(second)), rung::all(std::move(third)));
    for (auto* s : {&a, &b}) {
        s->on_cancel([s] { s->set_cancelled(); });
    }
    a.set_done(1);
    c.set_done(3);
    const auto result = op.get();
    BOOST_TEST(result.index == 1U);
    BOOST_TEST(std::get<0>(std::get<1>(result.value)) == 3);
}

BOOST_AUTO_TEST_CASE(of_several_threads_one_wins) {
    const test::time_limit limit;
    for (int round = 0; round < 500; ++round) {
        batch<int> b(3);
        auto& sources = b.sources;
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                while (!go) {
                }
                if (i == 1 && sources[i].cancel_requested()) {
                    sources[i].set_cancelled();
                } else {
                    sources[i].set_done(static_cast<int>(i));
                }
            });
        }
        go = true;
        auto op = rung::any(std::move(b.operations));
        const auto [index, value] = op.get();
        for (std::thread& t : threads) {
            t.join();
        }
        BOOST_TEST(index == static_cast<std::size_t>(value));
    }
}

}  // namespace
