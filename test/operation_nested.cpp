// Watchers that change the operation themselves, inside the call that tells them of a change.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <rung/rung.hpp>
#include <string>
#include <vector>

#include "called_once.hpp"
#include "outcomes.hpp"

namespace asio = boost::asio;
using namespace test;
using rung::make_operation;

namespace {

using change_list = std::vector<std::pair<state, int>>;

/// Notes each change, and that no call is within another one.
struct noting {
    auto function() {
        return [this](state s, int p) {
            BOOST_TEST(!in_call);
            in_call = true;
            seen.emplace_back(s, p);
            act(p);
            in_call = false;
        };
    }
    int ends() const {
        int n = 0;
        for (const auto& [s, p] : seen) {
            n += is_final(s) ? 1 : 0;
        }
        return n;
    }

    change_list seen;
    std::function<void(int)> act = [](int) {};
    bool in_call = false;
};

BOOST_AUTO_TEST_CASE(an_end_that_a_watcher_brings_about_is_told_to_everybody_once) {
    auto [source, op] = make_operation<void, int>();
    source.on_cancel([&source = source] { source.set_cancelled(); });
    noting first, second, late;
    first.act = [&, &op = op](int) {
        if (late.seen.empty() && op.state() == state::pending) {
            op.watch(late.function());
            op.cancel();
        }
    };
    op.watch(first.function());
    op.watch(second.function());
    op.async_next(once([](state s) { BOOST_TEST(s == state::cancelled); }));
    op.async_wait(once([](error_code ec) { BOOST_TEST(ec == aborted); }));
    source.set_progress(1);
    BOOST_TEST((first.seen == change_list{{state::pending, 1}, {state::cancelled, 1}}));
    BOOST_TEST(second.ends() == 1);
    BOOST_TEST((late.seen == change_list{{state::cancelled, 1}}));
}

BOOST_AUTO_TEST_CASE(a_change_that_a_watcher_makes_is_told_after_the_one_it_was_told_of) {
    rung::io_context ctx;
    auto [source, op] = make_operation<void, int>();
    noting first, second, elsewhere;
    first.act = [&source = source](int p) {
        if (p == 1) {
            source.set_progress(2);
            source.set_progress(3);
        } else if (source.valid()) {
            source.set_done();
        }
    };
    op.watch(first.function());
    op.watch(second.function());
    op.watch(asio::bind_executor(ctx, elsewhere.function()), rung::delivery::each);
    source.set_progress(1);
    BOOST_TEST(
        (first.seen == change_list{{state::pending, 1}, {state::pending, 3}, {state::done, 3}}));
    BOOST_TEST(second.ends() == 1);
    ctx.run();
    BOOST_TEST(elsewhere.ends() == 1);
    BOOST_TEST((elsewhere.seen.front() == std::pair(state::pending, 1)));
}

BOOST_AUTO_TEST_CASE(progress_that_a_watcher_reports_reaches_records_in_order) {
    rung::io_context ctx;
    auto [source, op] = make_operation<void, int>();
    noting inside, elsewhere;
    inside.act = [&source = source](int p) {
        if (p < 5) {
            source.set_progress(p + 1);
        }
    };
    op.watch(inside.function());
    op.watch(asio::bind_executor(ctx, elsewhere.function()), rung::delivery::each);
    source.set_progress(1);
    source.set_done();
    ctx.run();
    const change_list expected{{state::pending, 1}, {state::pending, 2}, {state::pending, 3},
                               {state::pending, 4}, {state::pending, 5}, {state::done, 5}};
    BOOST_TEST((inside.seen == expected));
    BOOST_TEST((elsewhere.seen == expected));
}

BOOST_AUTO_TEST_CASE(who_asks_for_the_next_change_within_one_gets_the_next) {
    auto [source, op] = make_operation<void, int>();
    std::string order;
    op.async_next(once([&, &op = op, &source = source](state) {
        order += 'a';
        op.async_next(once([&](state) { order += 'b'; }));
        source.set_running();
        order += 'c';
    }));
    source.set_progress(1);
    BOOST_TEST(order == "acb");
    source.set_done();
}

BOOST_AUTO_TEST_CASE(a_watcher_may_end_and_drop_everything) {
    auto [source, op] = make_operation<std::string, int>();
    op.watch([&source = source, &op = op](state s, int) {
        if (s == state::pending) {
            op = {};
            source.set_done("gone");
        }
    });
    std::string seen;
    op.async_wait(once([&](error_code, std::string value) { seen = value; }));
    source.set_progress(1);
    BOOST_TEST(seen == "gone");
    BOOST_TEST(!source.valid());
}

BOOST_AUTO_TEST_CASE(a_watcher_may_dismiss_another_and_change_the_operation) {
    auto [source, op] = make_operation<void, int>();
    asio::cancellation_signal signal;
    op.watch([&, &source = source](state, int p) {
        if (p == 1) {
            signal.emit(asio::cancellation_type::terminal);
            source.set_progress(2);
        }
    });
    op.watch(asio::bind_cancellation_slot(signal.slot(), never()));
    op.async_next(once());
    source.set_progress(1);
    source.set_done();
}

}  // namespace
