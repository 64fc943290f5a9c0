// A function for the request to cancel that lasts as long as a scope.

#include <rung/cancel_scope.hpp>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <thread>

#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace test;
using rung::make_operation;

namespace {

BOOST_AUTO_TEST_CASE(a_request_within_the_scope_calls_the_function_once) {
    auto [source, op] = make_operation<int>();
    int calls = 0;
    const rung::cancel_scope scope(source, [&] { ++calls; });
    BOOST_TEST(calls == 0);
    op.cancel();
    op.cancel();
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(a_request_after_the_scope_calls_nothing) {
    auto [source, op] = make_operation<int>();
    int calls = 0;
    { const rung::cancel_scope scope(source, [&] { ++calls; }); }
    op.cancel();
    BOOST_TEST(calls == 0);
    BOOST_TEST(source.cancel_requested());
}

BOOST_AUTO_TEST_CASE(a_request_before_the_scope_calls_the_function_at_once) {
    auto [source, op] = make_operation<int>();
    op.cancel();
    int calls = 0;
    const rung::cancel_scope scope(source, [&] { ++calls; });
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(one_scope_may_follow_another) {
    auto [source, op] = make_operation<int>();
    int first = 0;
    int second = 0;
    { const rung::cancel_scope scope(source, [&] { ++first; }); }
    const rung::cancel_scope scope(source, [&] { ++second; });
    op.cancel();
    BOOST_TEST(first == 0);
    BOOST_TEST(second == 1);
}

BOOST_AUTO_TEST_CASE(the_operation_may_end_and_go_within_the_scope) {
    auto [source, op] = make_operation<int>();
    const auto token = std::make_shared<int>(0);
    const rung::cancel_scope scope(source, [token] { ++*token; });
    source.set_done(1);
    BOOST_TEST(token.use_count() == 1);
    op.cancel();
    op = {};
    BOOST_TEST(*token == 0);
}

BOOST_AUTO_TEST_CASE(the_function_may_end_the_operation) {
    auto [source, op] = make_operation<int>();
    const rung::cancel_scope scope(source, [&source = source] { source.set_cancelled(); });
    op.cancel();
    BOOST_TEST(op.state() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_scope_waits_for_a_call_that_is_under_way) {
    const time_limit limit;
    for (int round = 0; round < 200; ++round) {
        auto [source, op] = make_operation<int>();
        auto guarded = std::make_unique<int>(0);
        std::atomic<bool> called{false};
        std::optional<rung::cancel_scope> scope;
        scope.emplace(source, [&] {
            called = true;
            for (int i = 0; i < 100; ++i) {
                ++*guarded;
                std::this_thread::yield();
            }
        });
        std::thread client([&op = op] { op.cancel(); });
        if (round % 2 == 0) {
            while (!called) {
            }
        }
        scope.reset();
        const int counted = *guarded;
        guarded.reset();
        BOOST_TEST((counted == 100 || (counted == 0 && !called)));
        client.join();
    }
}

}  // namespace
