// Every completion token on every operation that needs no descriptor, and strands.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <rung/rung.hpp>
#include <thread>
#include <tuple>
#include <vector>

#include "called_once.hpp"
#include "context_fixture.hpp"
#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
namespace errc = boost::system::errc;
using namespace std::chrono_literals;
using boost::system::error_code;
using boost::system::system_error;
using rung::executor;
using timer = test::timer_of<rung::io_context>;

namespace {

// The operations. Each ends well, but for the last, which somebody cancels.

struct plain_operation {
    explicit plain_operation(rung::io_context& c) : ex(c.get_executor()) {}
    using signature = void();
    static constexpr bool has_error = false;
    static error_code expected() { return {}; }
    executor ex;
};
struct post_operation : plain_operation {
    using plain_operation::plain_operation;
    template <class Token>
    auto operator()(Token&& token) {
        return asio::post(ex, std::forward<Token>(token));
    }
};
struct dispatch_operation : plain_operation {
    using plain_operation::plain_operation;
    template <class Token>
    auto operator()(Token&& token) {
        return asio::dispatch(ex, std::forward<Token>(token));
    }
};
struct defer_operation : plain_operation {
    using plain_operation::plain_operation;
    template <class Token>
    auto operator()(Token&& token) {
        return asio::defer(ex, std::forward<Token>(token));
    }
};
struct wait_operation {
    explicit wait_operation(rung::io_context& c) : t(c, 1ms) {}
    using signature = void(error_code);
    static constexpr bool has_error = true;
    static error_code expected() { return {}; }
    template <class Token>
    auto operator()(Token&& token) {
        return t.async_wait(std::forward<Token>(token));
    }
    timer t;
};
struct cancelled_operation {
    explicit cancelled_operation(rung::io_context& c) : t(c, 1h), canceller(c, 1ms) {
        canceller.async_wait([this](error_code) { t.cancel(); });
    }
    using signature = void(error_code);
    static constexpr bool has_error = true;
    static error_code expected() { return asio::error::operation_aborted; }
    template <class Token>
    auto operator()(Token&& token) {
        return t.async_wait(std::forward<Token>(token));
    }
    timer t;
    timer canceller;
};
using operations = std::tuple<post_operation, dispatch_operation, defer_operation, wait_operation,
                              cancelled_operation>;

/// The error among a handler's arguments, if they have one.
error_code error_in() { return {}; }
template <class... Rest>
error_code error_in(error_code ec, Rest&&...) {
    return ec;
}
error_code error_in(const std::tuple<>&) { return {}; }
error_code error_in(const std::tuple<error_code>& t) { return std::get<0>(t); }

/// What `f` throws as a code.
template <class F>
error_code thrown_by(F f) {
    try {
        f();
    } catch (const system_error& e) {
        return e.code();
    }
    return {};
}

struct fixture : test::time_limit, test::context_fixture {
    void run() {
        context().restart();
        context().run();
    }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tokens, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(callback, Operation, operations) {
    Operation start(context());
    start(test::once([&](auto... args) {
        BOOST_TEST(error_in(args...) == Operation::expected());
        BOOST_TEST(context().get_executor().running_in_this_thread());
    }));
    run();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(future, Operation, operations) {
    Operation start(context());
    std::future<void> done = start(asio::use_future);
    run();
    BOOST_TEST((done.wait_for(0s) == std::future_status::ready));
    BOOST_TEST(thrown_by([&] { done.get(); }) == Operation::expected());

    Operation again(context());
    auto wrapped = again(asio::use_future([](auto... args) { return error_in(args...); }));
    run();
    BOOST_TEST(wrapped.get() == Operation::expected());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(future_for_another_thread, Operation, operations) {
    Operation start(context());
    error_code result = errc::make_error_code(errc::invalid_argument);
    std::future<void> done = start(asio::use_future);
    std::thread waiter([&] { result = thrown_by([&] { done.get(); }); });
    run();
    waiter.join();
    BOOST_TEST(result == Operation::expected());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(awaitable, Operation, operations) {
    Operation start(context());
    bool ended = false;
    asio::co_spawn(
        context(),
        [&]() -> asio::awaitable<void> {
            error_code ec;
            try {
                co_await start(asio::use_awaitable);
            } catch (const system_error& e) {
                ec = e.code();
            }
            BOOST_TEST(ec == Operation::expected());
            ended = true;
        },
        asio::detached);
    run();
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(awaitable_over_our_executor, Operation, operations) {
    Operation start(context());
    bool ended = false;
    asio::co_spawn(
        context(),
        [&]() -> asio::awaitable<void, executor> {
            const auto result = co_await start(asio::as_tuple(asio::use_awaitable_t<executor>()));
            BOOST_TEST(error_in(result) == Operation::expected());
            ended = true;
        },
        asio::detached);
    run();
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(deferred, Operation, operations) {
    Operation start(context());
    auto later = start(asio::deferred);
    run();
    std::move(later)(
        test::once([](auto... args) { BOOST_TEST(error_in(args...) == Operation::expected()); }));
    if constexpr (std::is_same_v<Operation, cancelled_operation>) {
        start.t.cancel();  // the canceller has come before it
    }
    run();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(awaited_deferred, Operation, operations) {
    Operation start(context());
    bool ended = false;
    asio::co_spawn(
        context(),
        [&]() -> asio::awaitable<void> {
            auto later = start(asio::deferred);
            const auto result = co_await std::move(later)(asio::as_tuple(asio::use_awaitable));
            BOOST_TEST(error_in(result) == Operation::expected());
            ended = true;
        },
        asio::detached);
    run();
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tuple, Operation, operations) {
    Operation start(context());
    start(asio::as_tuple(
        test::once([](auto t) { BOOST_TEST(error_in(t) == Operation::expected()); })));
    run();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(redirected_error, Operation, operations) {
    Operation start(context());
    Operation again(context());
    error_code ec;
    error_code ec_of_again;
    start(asio::redirect_error(test::once(), ec));
    auto done = again(asio::redirect_error(asio::use_future, ec_of_again));
    run();
    done.get();
    BOOST_TEST(ec == Operation::expected());
    BOOST_TEST(ec_of_again == Operation::expected());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(detached, Operation, operations) {
    Operation start(context());
    start(asio::detached);
    BOOST_TEST(!context().stopped());
    run();
    BOOST_TEST(context().stopped());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(with_more_arguments, Operation, operations) {
    Operation start(context());
    Operation again(context());
    const auto owned = std::make_shared<int>(1);
    start(asio::append(test::once([](auto... args) { BOOST_TEST(sizeof...(args) != 0U); }), 7));
    again(asio::consign(test::once(), owned));
    BOOST_TEST(owned.use_count() == 2);
    run();
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(promise, Operation, operations) {
    Operation start(context());
    auto eager = start(asio::experimental::use_promise);
    run();
    eager(test::once());
    run();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(parallel_group, Operation, operations) {
    Operation one(context());
    Operation two(context());
    asio::experimental::make_parallel_group(one(asio::deferred), two(asio::deferred))
        .async_wait(asio::experimental::wait_for_all(),
                    test::once([](std::array<std::size_t, 2>, auto... args) {
                        BOOST_TEST(error_in(args...) == Operation::expected());
                    }));
    run();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bound_to_an_executor, Operation, operations) {
    const auto check = [&](const auto& ex, auto run_there) {
        Operation start(context());
        bool ran = false;
        start(asio::bind_executor(ex, test::once([&](auto... args) {
                                      BOOST_TEST(error_in(args...) == Operation::expected());
                                      ran = true;
                                  })));
        run();
        run_there();
        BOOST_TEST(ran);
    };
    const auto nothing = [] {};
    const executor ex = context().get_executor();
    check(asio::require(ex, rung::priority::high), nothing);
    check(asio::any_io_executor(ex), nothing);
    check(asio::make_strand(ex), nothing);
    check(asio::make_strand(asio::any_io_executor(ex)), nothing);
    check(asio::system_executor(), [] { std::this_thread::sleep_for(20ms); });
    rung::io_context other;
    check(other.get_executor(), [&] { BOOST_TEST(other.run() != 0U); });
    other.restart();
    check(asio::any_io_executor(other.get_executor()), [&] { BOOST_TEST(other.run() != 0U); });
    asio::io_context rival;
    check(rival.get_executor(), [&] { BOOST_TEST(rival.run() != 0U); });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handlers_executor_is_kept_at_work_until_it_has_run, Operation,
                              operations) {
    Operation start(context());
    rung::io_context other;
    int ran = 0;
    start(asio::bind_executor(other.get_executor(), [&](auto...) { ++ran; }));
    BOOST_TEST(other.poll() == 0U);
    BOOST_TEST(!other.stopped());
    run();
    BOOST_TEST(other.run() == 1U);
    BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bound_to_a_cancellation_slot, Operation, operations) {
    Operation start(context());
    asio::cancellation_signal signal;
    bool ran = false;
    start(asio::bind_cancellation_slot(signal.slot(), [&](auto... args) {
        ran = true;
        const error_code expected =
            Operation::has_error ? error_code(asio::error::operation_aborted) : error_code();
        BOOST_TEST(error_in(args...) == expected);
    }));
    signal.emit(asio::cancellation_type::terminal);
    signal.emit(asio::cancellation_type::total);
    BOOST_TEST(!ran);  // never within the call that cancels
    run();
    BOOST_TEST(ran);
    signal.emit(asio::cancellation_type::terminal);  // finds nothing
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(strands, fixture)

/// Handlers of a strand that four threads run never overlap and keep their order.
template <class Executor>
void check_strand(rung::io_context& ctx, const Executor& ex) {
    constexpr int handlers = 10'000;
    const auto strand = asio::make_strand(ex);
    std::vector<int> order;  // unguarded, but for the strand
    int unguarded = 0;
    std::atomic<bool> outside = false;
    std::vector<std::unique_ptr<timer>> timers;
    for (int i = 0; i < handlers; ++i) {
        asio::post(strand, [&, i] {
            order.push_back(i);
            ++unguarded;
            if (!strand.running_in_this_thread()) {
                outside = true;
            }
            if (i % 8 == 0) {
                asio::post(ctx, [&] { asio::dispatch(strand, [&] { ++unguarded; }); });
                asio::dispatch(strand, [&] { ++unguarded; });
            }
        });
        if (i % 100 == 0) {
            timers.push_back(std::make_unique<timer>(ctx, std::chrono::microseconds(i)));
            timers.back()->async_wait(
                asio::bind_executor(strand, [&](error_code) { ++unguarded; }));
        }
    }
    test::thread_group(4, [&](int) { ctx.run(); }).join();
    BOOST_TEST(unguarded == handlers + 2 * (handlers / 8) + handlers / 100);
    BOOST_TEST(order.size() == std::size_t{handlers});
    BOOST_TEST(std::is_sorted(order.begin(), order.end()));
    BOOST_TEST(!outside);
}

BOOST_AUTO_TEST_CASE(over_our_executor) { check_strand(context(), context().get_executor()); }
BOOST_AUTO_TEST_CASE(over_an_urgent_executor) {
    check_strand(context(), asio::require(context().get_executor(), rung::priority::high));
}
BOOST_AUTO_TEST_CASE(over_an_erased_executor) {
    check_strand(context(), asio::any_io_executor(context().get_executor()));
}
BOOST_AUTO_TEST_CASE(over_an_erased_strand) {
    check_strand(context(), asio::any_io_executor(asio::make_strand(context())));
}

BOOST_AUTO_TEST_SUITE_END()
