// A stream of operations in the order in which they end.

#include <rung/completions.hpp>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>
#include <vector>

#include "batch.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace test;

namespace {

const error_code eof = boost::asio::error::eof;

BOOST_AUTO_TEST_CASE(ends_come_in_their_order) {
    batch<int> b(4);
    rung::completions stream(std::move(b.operations));
    BOOST_TEST(stream.size() == 4U);
    b.sources[2].set_done(2);
    b.sources[0].set_failed(refused);
    BOOST_TEST(stream.next().get() == 2U);
    BOOST_TEST(stream[2].value() != nullptr);
    BOOST_TEST(stream.take(2) == 2);
    BOOST_TEST(stream.next().get() == 0U);
    BOOST_TEST(stream[0].error() == refused);
    auto first = stream.next();
    auto second = stream.next();
    BOOST_TEST(!first.ready());
    b.sources[3].set_done(3);
    BOOST_TEST(first.get() == 3U);
    BOOST_TEST(!second.ready());
    b.sources.clear();
    BOOST_TEST(second.get() == 1U);
    BOOST_TEST(stream.next().error() == eof);
}

BOOST_AUTO_TEST_CASE(a_request_can_be_taken_back) {
    batch<int> b(2);
    rung::completions stream(std::move(b.operations));
    auto first = stream.next();
    auto second = stream.next();
    BOOST_TEST(stream.next().error() == eof);
    first.cancel();
    BOOST_TEST(first.state() == state::cancelled);
    b.sources[1].set_done(1);
    BOOST_TEST(second.get() == 1U);
    b.sources[0].set_done(0);
    BOOST_TEST(stream.next().get() == 0U);
}

BOOST_AUTO_TEST_CASE(a_request_may_be_taken_back_from_anywhere_in_the_queue) {
    for (std::size_t taken = 0; taken < 3; ++taken) {
        batch<int> b(3);
        rung::completions stream(std::move(b.operations));
        std::vector<rung::operation<std::size_t>> asked;
        for (int i = 0; i < 3; ++i) {
            asked.push_back(stream.next());
        }
        asked[taken].cancel();
        asked[taken].cancel();
        asked.push_back(stream.next());
        for (auto& s : b.sources) {
            s.set_done(1);
        }
        std::size_t next = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            if (i == taken) {
                BOOST_TEST(asked[i].state() == state::cancelled);
            } else {
                BOOST_TEST(asked[i].get() == next++);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_stream_may_go_first) {
    batch<int> b(3);
    rung::operation<std::size_t> asked;
    {
        rung::completions stream(std::move(b.operations));
        asked = stream.next();
    }
    BOOST_TEST(asked.error() == abandoned);
    b.sources[0].set_done(1);
}

BOOST_AUTO_TEST_CASE(a_stream_of_none_is_over) {
    rung::completions stream(std::vector<rung::operation<>>{});
    BOOST_TEST(stream.next().error() == eof);
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_ends_of_two_threads_are_each_told_once) {
    const test::time_limit limit;
    constexpr std::size_t n = 100'000;
    batch<int> b(n);
    std::vector<std::thread> threads;
    std::atomic<bool> go{false};
    for (std::size_t t = 0; t < 2; ++t) {
        threads.emplace_back([&, t] {
            while (!go) {
            }
            for (std::size_t i = t; i < n; i += 2) {
                b.sources[i].set_done(static_cast<int>(i));
            }
        });
    }
    go = true;
    rung::completions stream(std::move(b.operations));
    std::vector<bool> seen(n);
    std::size_t told = 0;
    for (std::size_t k = 0; k < n; ++k) {
        auto next = stream.next();
        if (k % 7 == 0) {
            next.cancel();
            if (next.wait() == state::cancelled) {
                next = stream.next();
            }
        }
        const std::size_t i = next.get();
        told += seen[i] ? 0 : 1;
        seen[i] = true;
    }
    for (std::thread& t : threads) {
        t.join();
    }
    BOOST_TEST(told == n);
}

}  // namespace
