#pragma once

/// What the tests of every operation by every completion token share: what came of an operation, and
/// the checks of it. These are functions, so that each is compiled once for all operations.

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <type_traits>

#include "object_endings.hpp"

namespace test {

/// What came of one operation.
struct seen {
    error_code ec;
    std::atomic<int> calls{0};

    auto handler() {
        return [this](error_code e, auto&&...) {
            ec = e;
            ++calls;
        };
    }
};

inline void check_not_called(const seen& s) { BOOST_TEST(s.calls == 0); }
inline void check_called_once(const seen& s) { BOOST_TEST(s.calls == 1); }
inline void check_expected(bool expected, const error_code& ec) {
    BOOST_TEST(expected, ec << " is not expected");
}

/// Every operation with every ending, by `Token`, whose `start` begins an operation and sees to it
/// that what comes is noted.
template <class Token, class Loop>
void check_token(Loop& loop) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        for (const ending e : endings) {
            BOOST_TEST_CONTEXT(e) {
                Operation operation(loop, e);
                seen s;
                Token::start(loop, operation, s);
                check_not_called(s);
                loop.poll();
                operation.cause();
                loop.run();
                check_called_once(s);
                check_expected(operation.expects(s.ec), s.ec);
            }
        }
    });
}

}  // namespace test
