// Every operation with every ending, waited for by each kind of coroutine; see conformance.cpp.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#if defined(RUNG_HAS_BOOST_CONTEXT)
#include <boost/asio/spawn.hpp>
#endif

#include "token_table.hpp"

using namespace test;

namespace {

struct by_awaitable {
    template <class Loop, class Operation>
    static void start(Loop& loop, Operation& operation, seen& s) {
        asio::co_spawn(
            loop.executor(),
            [&]() -> asio::awaitable<void> { s.handler()(co_await awaited(operation)); },
            asio::detached);
    }

private:
    template <class Operation>
    static asio::awaitable<error_code> awaited(Operation& operation) {
        try {
            co_await operation.start(asio::use_awaitable);
        } catch (const boost::system::system_error& e) {
            co_return e.code();
        }
        co_return error_code();
    }
};
struct by_awaitable_tuple {
    template <class Loop, class Operation>
    static void start(Loop& loop, Operation& operation, seen& s) {
        asio::co_spawn(
            loop.executor(),
            [&]() -> asio::awaitable<void> {
                const auto result = co_await operation.start(asio::as_tuple(asio::use_awaitable));
                s.handler()(std::get<0>(result));
            },
            asio::detached);
    }
};
#if defined(RUNG_HAS_BOOST_CONTEXT)
struct by_yield {
    template <class Loop, class Operation>
    static void start(Loop& loop, Operation& operation, seen& s) {
        asio::spawn(
            loop.executor(),
            [&](asio::basic_yield_context<typename Loop::executor_type> yield) {
                error_code ec;
                operation.start(yield[ec]);
                s.handler()(ec);
            },
            asio::detached);
    }
};
#endif

RUNG_RIVAL_CASE(coroutines) { check_token<by_awaitable>(loop); }
RUNG_RIVAL_CASE(coroutines_that_take_tuples) { check_token<by_awaitable_tuple>(loop); }
#if defined(RUNG_HAS_BOOST_CONTEXT)
RUNG_RIVAL_CASE(stackful_coroutines) { check_token<by_yield>(loop); }
#endif

}  // namespace
