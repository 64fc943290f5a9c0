// What joins cost: time in proportion to the operations, and no memory once there is some.

#include "allocations.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <ctime>
#include <numeric>
#include <random>
#include <rung/rung.hpp>
#include <vector>

#include "batch.hpp"
#include "outcomes.hpp"

using namespace test;

namespace {

/// 0 to n - 1 in an order that caches cannot foresee.
std::vector<std::size_t> shuffled(std::size_t n) {
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    return order;
}

/// Seconds that this thread has computed.
double time_spent() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Whether ten times as many operations take some ten times as long. The margin is for caches, and
/// far from the hundred of a quadratic cost.
template <class F>
bool is_linear(F join, std::size_t many = 30'000) {
    const auto time = [&](std::size_t n, int times) {
        double least = 1e9;
        for (int i = 0; i < times; ++i) {
            const double begin = time_spent();
            join(n);
            least = std::min(least, time_spent() - begin);
        }
        return least;
    };
    const double small = time(many / 10, 3);
    const double large = time(many, 1);
    BOOST_TEST_MESSAGE(many / 10 << ": " << small << " s, " << many << ": " << large << " s");
    return large < 40 * small;
}

void end_when_asked(batch<std::size_t>& b) {
    for (auto& s : b.sources) {
        s.on_cancel([&s] { s.set_cancelled(); });
    }
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_are_joined_at_linear_cost) {
    BOOST_TEST(is_linear(
        [](std::size_t n) {
            batch<std::size_t> b(n);
            auto op = rung::all(std::move(b.operations));
            for (const std::size_t i : shuffled(n)) {
                b.sources[i].set_done(i);
            }
            const auto values = std::move(op).get();
            BOOST_TEST_REQUIRE(values.size() == n);
            BOOST_TEST_REQUIRE(std::is_sorted(values.begin(), values.end()));
        },
        100'000));
}

BOOST_AUTO_TEST_CASE(the_first_of_many_ends_the_others_at_linear_cost) {
    BOOST_TEST(is_linear([](std::size_t n) {
        batch<std::size_t> b(n);
        end_when_asked(b);
        auto op = rung::any(std::move(b.operations));
        b.sources[n / 2].set_done(7U);
        BOOST_TEST_REQUIRE(op.get().index == n / 2);
    }));
}

BOOST_AUTO_TEST_CASE(a_failure_ends_many_at_linear_cost) {
    BOOST_TEST(is_linear([](std::size_t n) {
        batch<std::size_t> b(n);
        end_when_asked(b);
        auto op = rung::all(std::move(b.operations));
        b.sources[n / 2].set_failed(refused);
        BOOST_TEST_REQUIRE(op.error() == refused);
    }));
}

BOOST_AUTO_TEST_CASE(joins_of_joins_are_linear_too) {
    BOOST_TEST(is_linear([](std::size_t n) {
        batch<std::size_t> b(n);
        using inner = decltype(rung::all(std::move(b.operations)));
        std::vector<inner> joins;
        for (std::size_t i = 0; i < n; i += 10) {
            const auto at = b.operations.begin() + static_cast<std::ptrdiff_t>(i);
            joins.push_back(rung::all(at, at + 10));
        }
        auto op = rung::all(std::move(joins));
        for (const std::size_t i : shuffled(n)) {
            b.sources[i].set_done(i);
        }
        BOOST_TEST_REQUIRE(op.get().back().back() == n - 1);
    }));
}

BOOST_AUTO_TEST_CASE(a_thousand_joins_may_lie_inside_each_other) {
    for (const bool first : {false, true}) {
        auto [source, op] = rung::make_operation<>();
        for (int i = 0; i < 1'000; ++i) {
            std::vector<rung::operation<>> one;
            one.push_back(std::move(op));
            op = rung::all(std::move(one));
        }
        if (first) {
            op.cancel();
            BOOST_TEST(source.cancel_requested());
        }
        source.set_done();
        BOOST_TEST(op.state() == state::done);
    }
}

BOOST_AUTO_TEST_CASE(a_stream_of_ends_is_linear) {
    BOOST_TEST(is_linear([](std::size_t n) {
        batch<std::size_t> b(n);
        rung::completions stream(std::move(b.operations));
        std::vector<rung::operation<std::size_t>> asked;
        for (std::size_t i = 0; i < n; ++i) {
            asked.push_back(stream.next());
        }
        const auto order = shuffled(n);
        for (const std::size_t i : order) {
            asked[i].cancel();
        }
        for (std::size_t i = 0; i < n; ++i) {
            asked[i] = stream.next();
        }
        for (const std::size_t i : order) {
            b.sources[i].set_done(i);
        }
        for (std::size_t i = 0; i < n; ++i) {
            BOOST_TEST_REQUIRE(asked[i].get() == order[i]);
        }
    }));
}

BOOST_AUTO_TEST_CASE(joins_of_a_pack_need_no_new_memory) {
    BOOST_TEST(needs_no_new_memory([] {
        auto [a, first] = rung::make_operation<int>();
        auto [b, second] = rung::make_operation<int>();
        auto [c, third] = rung::make_operation<>();
        auto all = rung::all(std::move(first), rung::any(std::move(second), std::move(third)));
        b.set_done(1);
        c.set_cancelled();
        a.set_done(2);
        BOOST_TEST_REQUIRE(std::get<0>(all.get()) == 2);
    }));
}

BOOST_AUTO_TEST_CASE(asking_for_the_next_end_needs_no_new_memory) {
    batch<int> b(100);
    std::size_t at = 0;
    rung::completions stream(std::move(b.operations));
    BOOST_TEST(needs_no_new_memory([&] {
        auto taken_back = stream.next();
        auto next = stream.next();
        taken_back.cancel();
        b.sources[at++].set_done(1);
        BOOST_TEST_REQUIRE(next.ready());
    }));
}

BOOST_AUTO_TEST_CASE(offloading_needs_no_new_memory) {
    rung::io_context other(1);
    BOOST_TEST(needs_no_new_memory([&] {
        auto op = rung::offload<int>(other, [](rung::offload_handle<int>& handle) {
            bool asked = false;
            const rung::cancel_scope scope(handle, [&] { asked = true; });
            handle.set_progress(1);
            return asked ? 0 : 7;
        });
        other.run();
        other.restart();
        BOOST_TEST_REQUIRE(op.get() == 7);
    }));
}

}  // namespace
