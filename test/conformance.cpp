// Every I/O object, every operation, every completion token, every way to end: one table.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <optional>
#if defined(RUNG_HAS_BOOST_CONTEXT)
#include <boost/asio/spawn.hpp>
#endif

#include "object_endings.hpp"

using namespace test;

namespace {

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

// Each begins an operation with one completion token, and sees to it that what comes is noted.

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
struct by_awaitable {
    template <class Loop, class Operation>
    static void start(Loop& loop, Operation& operation, seen& s) {
        asio::co_spawn(
            loop.executor(),
            [&]() -> asio::awaitable<void> {
                s.handler()(co_await awaited(operation));
            },
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

/// Every operation with every ending, by `Token`.
template <class Token, class Loop>
void check_token(Loop& loop) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        for (const ending e : endings) {
            BOOST_TEST_CONTEXT(e) {
                Operation operation(loop, e);
                seen s;
                Token::start(loop, operation, s);
                BOOST_TEST(s.calls == 0);
                loop.poll();
                operation.cause();
                loop.run();
                BOOST_TEST(s.calls == 1);
                BOOST_TEST(operation.expects(s.ec), s.ec << " is not expected");
            }
        }
    });
}

RUNG_RIVAL_CASE(callbacks) { check_token<by_callback>(loop); }
RUNG_RIVAL_CASE(tuples) { check_token<by_tuple>(loop); }
RUNG_RIVAL_CASE(deferred_operations) { check_token<by_deferred>(loop); }
RUNG_RIVAL_CASE(coroutines) { check_token<by_awaitable>(loop); }
RUNG_RIVAL_CASE(coroutines_that_take_tuples) { check_token<by_awaitable_tuple>(loop); }
#if defined(RUNG_HAS_BOOST_CONTEXT)
RUNG_RIVAL_CASE(stackful_coroutines) { check_token<by_yield>(loop); }
#endif

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
            BOOST_TEST(operation.expects(ec), e << ": " << ec << " is not expected");
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

RUNG_RIVAL_CASE(slots) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        Operation operation(loop, ending::cancellation);
        seen s;
        asio::cancellation_signal signal;
        operation.start(asio::bind_cancellation_slot(signal.slot(), s.handler()));
        loop.poll();
        signal.emit(asio::cancellation_type::terminal);
        loop.run();
        BOOST_TEST(s.calls == 1);
        BOOST_TEST(operation.expects(s.ec), s.ec << " is not expected");
    });
}

RUNG_RIVAL_CASE(objects_destroyed_in_flight) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        std::optional<Operation> operation(std::in_place, loop, ending::cancellation);
        seen s;
        operation->start(s.handler());
        loop.poll();
        const bool pending = s.calls == 0;
        operation.reset();
        loop.run();
        BOOST_TEST(s.calls == 1);
        // What its peer does, which goes too, may come first.
        BOOST_TEST((!pending || s.ec || requires { Operation::may_succeed_in_any_case; }));
    });
}

/// Owns an operation, which holds on to it in turn, in a context that is destroyed.
template <class Loop>
void check_destruction(const mode& m) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        Loop loop(m);
        auto operation = std::make_shared<Operation>(loop, ending::cancellation);
        const std::weak_ptr<void> alive = operation;
        std::atomic<int> calls{0};
        operation->start([operation, &calls](auto&&...) { ++calls; });
        loop.poll();
        const int expected = calls;
        operation.reset();
        loop.destroy();
        BOOST_TEST(calls == expected);
        BOOST_TEST(alive.expired());
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(contexts_destroyed_with_operations_in_flight, Loop, loops) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) {
            check_destruction<Loop>(m);
        }
    }
}

}  // namespace
