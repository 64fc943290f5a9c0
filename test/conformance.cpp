// Every I/O object, every operation, every completion token, every way to end: one table. The tokens
// that take handlers; conformance_of_coroutines.cpp has the coroutines.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>

#include "token_table.hpp"

using namespace test;

namespace {

struct by_callback {
    template <class Loop, class Operation>
    static void start(Loop&, Operation& operation, seen& s) {
        operation.start(s.handler());
    }
};
struct by_tuple {
    template <class Loop, class Operation>
    static void start(Loop&, Operation& operation, seen& s) {
        operation.start(
            asio::as_tuple([&s](auto result) { s.handler()(std::get<0>(std::move(result))); }));
    }
};
struct by_deferred {
    template <class Loop, class Operation>
    static void start(Loop&, Operation& operation, seen& s) {
        auto later = operation.start(asio::deferred);
        std::move(later)(s.handler());
    }
};
RUNG_RIVAL_CASE(callbacks) { check_token<by_callback>(loop); }
RUNG_RIVAL_CASE(tuples) { check_token<by_tuple>(loop); }
RUNG_RIVAL_CASE(deferred_operations) { check_token<by_deferred>(loop); }

RUNG_RIVAL_CASE(futures) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        for (const ending e : endings) {
            Operation operation(loop, e);
            auto future = operation.start(asio::use_future);
            loop.poll();
            operation.cause();
            loop.run();
            BOOST_TEST((future.wait_for(std::chrono::seconds(0)) == std::future_status::ready));
            const error_code ec = thrown_by([&] { future.get(); });
            BOOST_TEST_CONTEXT(e) { check_expected(operation.expects(ec), ec); }
        }
    });
}

RUNG_RIVAL_CASE(detached_operations) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        for (const ending e : endings) {
            Operation operation(loop, e);
            operation.start(asio::detached);
            loop.poll();
            operation.cause();
            loop.run();  // returns, so that it has ended
        }
    });
}

}  // namespace
