// Joining: every operation of a pack or a range.

#include <rung/all.hpp>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "batch.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace test;
using rung::make_operation;

namespace {

BOOST_AUTO_TEST_CASE(a_pack_is_done_with_a_tuple) {
    auto [a, first] = make_operation<int>();
    auto [b, second] = make_operation<std::string, double>();
    auto [c, third] = make_operation<>();
    rung::operation<std::tuple<int, std::string, std::monostate>> op =
        rung::all(std::move(first), std::move(second), std::move(third));
    BOOST_TEST(op.state() == state::running);
    b.set_done("two");
    c.set_done();
    BOOST_TEST(op.state() == state::running);
    a.set_done(1);
    BOOST_TEST(op.state() == state::done);
    const auto [x, y, z] = op.get();
    BOOST_TEST(x == 1);
    BOOST_TEST(y == "two");
}

BOOST_AUTO_TEST_CASE(a_pack_without_values_has_none) {
    auto [a, first] = make_operation<>();
    auto [b, second] = make_operation<void, int>();
    rung::operation<> op = rung::all(std::move(first), std::move(second));
    a.set_done();
    b.set_done();
    BOOST_TEST(op.state() == state::done);
}

BOOST_AUTO_TEST_CASE(a_range_is_done_with_a_vector_in_its_order) {
    batch<int> b(5);
    rung::operation<std::vector<int>> op = rung::all(std::move(b.operations));
    for (const std::size_t i : {3U, 0U, 4U, 1U, 2U}) {
        BOOST_TEST(!op.ready());
        b.sources[i].set_done(static_cast<int>(i) * 10);
    }
    BOOST_TEST(op.get() == (std::vector<int>{0, 10, 20, 30, 40}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(any_range_will_do) {
    batch<void> b(3);
    std::list<rung::operation<>> list(std::make_move_iterator(b.operations.begin()),
                                      std::make_move_iterator(b.operations.end()));
    rung::operation<> op = rung::all(list);
    for (auto& s : b.sources) {
        s.set_done();
    }
    BOOST_TEST(op.state() == state::done);
    batch<int> c(2);
    auto by_iterators = rung::all(c.operations.begin(), c.operations.end());
    c.sources.clear();
    BOOST_TEST(by_iterators.error() == abandoned);
}

BOOST_AUTO_TEST_CASE(all_of_none_is_done_at_once) {
    auto op = rung::all(std::vector<rung::operation<int>>());
    BOOST_TEST(op.get().empty());
}

BOOST_AUTO_TEST_CASE(operations_that_have_ended_already_count) {
    batch<int> b(2);
    b.sources[0].set_done(1);
    b.sources[1].set_done(2);
    BOOST_TEST(rung::all(std::move(b.operations)).get().size() == 2U);
}

BOOST_AUTO_TEST_CASE(the_first_failure_cancels_the_others_and_waits_for_them) {
    batch<int> b(3);
    auto op = rung::all(std::move(b.operations));
    b.sources[0].set_done(1);
    b.sources[1].set_failed(refused);
    BOOST_TEST(op.state() == state::running);
    BOOST_TEST(b.sources[2].cancel_requested());
    b.sources[2].set_cancelled();
    BOOST_TEST(op.state() == state::failed);
    BOOST_TEST(op.error() == refused);
}

BOOST_AUTO_TEST_CASE(an_exception_comes_through) {
    batch<int> b(1);
    auto op = rung::all(std::move(b.operations));
    b.sources[0].set_failed(std::make_exception_ptr(std::out_of_range("thrown")));
    BOOST_CHECK_THROW(op.get(), std::out_of_range);
}

BOOST_AUTO_TEST_CASE(cancel_asks_all_of_them) {
    batch<int> b(3);
    auto op = rung::all(std::move(b.operations));
    for (auto& s : b.sources) {
        s.on_cancel([&s] { s.set_cancelled(timed_out); });
    }
    op.cancel();
    BOOST_TEST(op.state() == state::cancelled);
    BOOST_TEST(op.reason() == timed_out);
}

BOOST_AUTO_TEST_CASE(joins_nest) {
    batch<int> left(2), right(2);
    auto op =
        rung::all(rung::all(std::move(left.operations)), rung::all(std::move(right.operations)));
    right.sources[1].set_done(4);
    left.sources[0].set_done(1);
    left.sources[1].set_done(2);
    right.sources[0].set_done(3);
    const auto [l, r] = op.get();
    BOOST_TEST(l[1] + r[0] == 5);

    batch<int> inner(1), outer(1);
    auto nested =
        rung::all(rung::all(std::move(inner.operations)), rung::all(std::move(outer.operations)));
    outer.sources[0].set_failed(refused);
    BOOST_TEST(inner.sources[0].cancel_requested());
    inner.sources.clear();
    BOOST_TEST(nested.error() == refused);
}

BOOST_AUTO_TEST_CASE(values_are_moved_where_nobody_else_watches) {
    batch<std::unique_ptr<int>> b(3);
    auto op = rung::all(std::move(b.operations));
    for (auto& s : b.sources) {
        s.set_done(std::make_unique<int>(1));
    }
    BOOST_TEST(std::move(op).get().size() == 3U);

    struct counted {
        explicit counted(int* c) : copies(c) {}
        counted(const counted& other) : copies(other.copies) { ++*copies; }
        counted(counted&&) noexcept = default;
        int* copies;
    };
    int copies = 0;
    batch<counted> c(3);
    auto moved = rung::all(std::move(c.operations));
    for (auto& s : c.sources) {
        s.set_done(&copies);
    }
    std::move(moved).get();
    BOOST_TEST(copies == 0);
}

BOOST_AUTO_TEST_CASE(an_operation_in_a_join_may_still_be_watched) {
    auto [source, op] = make_operation<std::string>();
    std::string seen;
    op.async_wait([&](error_code, std::string v) { seen = v; });
    auto joined = rung::all(std::move(op));
    source.set_done("both");
    BOOST_TEST(seen == "both");
    BOOST_TEST(std::get<0>(joined.get()) == "both");
}

BOOST_AUTO_TEST_CASE(ends_of_several_threads_make_one_end) {
    const test::time_limit limit;
    for (int round = 0; round < 300; ++round) {
        constexpr std::size_t each = 8;
        batch<std::size_t> b(each * 3);
        std::atomic<int> ends{0};
        rung::operation<std::vector<std::size_t>> op;
        std::vector<std::thread> threads;
        std::atomic<bool> go{false};
        for (std::size_t t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                while (!go) {
                }
                for (std::size_t i = t * each; i < (t + 1) * each; ++i) {
                    if (round % 3 == 1 && i % each == 5) {
                        b.sources[i].set_failed(refused);
                    } else {
                        b.sources[i].set_done(i);
                    }
                }
            });
        }
        go = true;
        op = rung::all(std::move(b.operations));
        op.async_wait([&](error_code, auto) { ++ends; });
        if (round % 3 == 2) {
            op.cancel();
        }
        op.wait();
        for (std::thread& t : threads) {
            t.join();
        }
        BOOST_TEST(ends == 1);
        BOOST_TEST(op.error() == (round % 3 == 1 ? refused : no_error));
    }
}

}  // namespace
