// Channels between fibers, coroutines, callbacks and threads.

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "fiber_test.hpp"

namespace {

struct fixture : test::time_limit {};

/// A value that counts how many of it live, and can only be moved.
class counted {
public:
    counted() : counted(0) {}
    explicit counted(int v) noexcept : value(v) { ++living; }
    counted(counted&& other) noexcept : counted(other.value) {}
    counted& operator=(counted&& other) noexcept {
        value = other.value;
        return *this;
    }
    ~counted() { --living; }

    static inline std::atomic<int> living{0};
    int value;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(channel, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(values_arrive_in_order_whatever_the_capacity, Context,
                              test::contexts) {
    for (const std::size_t capacity : {0U, 1U, 3U, 64U}) {
        Context ctx;
        rung::channel<int> c(ctx, capacity);
        BOOST_TEST(c.capacity() == capacity);
        std::vector<int> seen;
        rung::spawn(ctx, [&] {
            for (int i = 0; i < 200; ++i) {
                c.async_send(i, use_fiber);
                BOOST_TEST(c.size() <= capacity);
            }
            c.close();
        });
        rung::spawn(ctx, [&] {
            for (;;) {
                const auto [ec, n] = c.async_receive(asio::as_tuple(use_fiber));
                if (ec) {
                    BOOST_TEST(ec == asio::error::eof);
                    break;
                }
                seen.push_back(n);
            }
        });
        ctx.run();
        std::vector<int> expected(200);
        std::iota(expected.begin(), expected.end(), 0);
        BOOST_TEST(seen == expected, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(joins_all_styles, Context, test::contexts) {
    Context ctx;
    rung::channel<std::string> c(ctx);
    std::string all;
    rung::spawn(ctx, [&] { BOOST_TEST(c.send("fiber ")); });
    c.async_send("callback ", [](error_code ec) { BOOST_TEST(!ec); });
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            co_await c.async_send("coroutine ", asio::use_awaitable);
        },
        asio::detached);
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> { all += co_await c.async_receive(asio::use_awaitable); },
        asio::detached);
    c.async_receive([&](error_code ec, const std::string& s) {
        BOOST_TEST(!ec);
        all += s;
    });
    rung::spawn(ctx, [&] { all += c.receive().value(); });
    ctx.run();
    BOOST_TEST(all.size() == std::string("fiber callback coroutine ").size());
    for (const char* const part : {"fiber ", "callback ", "coroutine "}) {
        BOOST_TEST(all.find(part) != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handler_never_runs_within_its_initiation, Context,
                              test::contexts) {
    Context ctx;
    rung::channel<int> c(ctx, 1);
    int told = 0;
    asio::post(ctx, [&] {
        c.async_send(1, [&](error_code) { ++told; });
        c.async_receive([&](error_code, int) { ++told; });
        BOOST_TEST(told == 0);
    });
    ctx.run();
    BOOST_TEST(told == 2);
}

BOOST_AUTO_TEST_CASE(a_fiber_that_need_not_wait_is_not_suspended) {
    rung::io_context ctx(1);
    rung::channel<int> c(ctx, 8);
    bool other_ran = false;
    rung::spawn(ctx, [&] {
        asio::post(ctx, [&] { other_ran = true; });
        for (int i = 0; i < 8; ++i) {
            c.async_send(i, use_fiber);
        }
        for (int i = 0; i < 4; ++i) {
            BOOST_TEST(c.async_receive(use_fiber) == i);
            BOOST_TEST(std::get<1>(c.async_receive(asio::as_tuple(use_fiber))) >= 0);
            c.async_send(i + 1, use_fiber);
            error_code ec;
            c.async_send(i + 1, asio::redirect_error(use_fiber, ec));
            while (c.try_receive()) {
            }
            for (int n = 0; n < 8; ++n) {
                BOOST_TEST(c.try_send(i + 1));
            }
        }
        BOOST_TEST(!other_ran);
        // and yet it cannot keep the others waiting for ever
        while (!other_ran) {
            BOOST_TEST(c.receive().has_value());
            BOOST_TEST(c.send(1));
        }
    });
    ctx.run();
    BOOST_TEST(other_ran);
}

BOOST_AUTO_TEST_CASE(tries_do_not_wait) {
    rung::io_context ctx;
    rung::channel<std::unique_ptr<int>> c(ctx, 1);
    BOOST_TEST(!c.try_receive().has_value());
    auto value = std::make_unique<int>(7);
    BOOST_TEST(c.try_send(std::move(value)));
    BOOST_TEST(value == nullptr);
    value = std::make_unique<int>(8);
    BOOST_TEST(!c.try_send(std::move(value)));
    BOOST_TEST(value != nullptr);  // it stays with its sender
    BOOST_TEST(*c.try_receive().value() == 7);
    c.close();
    BOOST_TEST(!c.try_send(std::move(value)));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_was_sent_before_the_close_is_received, Context,
                              test::contexts) {
    Context ctx;
    rung::channel<int> c(ctx, 1);
    std::vector<error_code> sent;
    for (int i = 1; i <= 3; ++i) {
        c.async_send(i, [&](error_code ec) { sent.push_back(ec); });
    }
    c.close();
    BOOST_TEST(!c.is_open());
    c.async_send(4, [&](error_code ec) { sent.push_back(ec); });
    int sum = 0;
    rung::spawn(ctx, [&] {
        BOOST_TEST(!c.send(5));
        while (const std::optional<int> n = c.receive()) {
            sum += *n;
        }
        BOOST_CHECK_THROW(c.async_receive(use_fiber), system_error);
    });
    ctx.run();
    BOOST_TEST(sum == 6);
    BOOST_TEST(sent.size() == 4U);
    BOOST_TEST(std::count(sent.begin(), sent.end(), error_code()) == 3);
    BOOST_TEST(std::count(sent.begin(), sent.end(), asio::error::broken_pipe) == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_close_tells_receivers, Context, test::contexts) {
    Context ctx;
    rung::channel<int> c(ctx, 4);
    int told = 0;
    for (int i = 0; i < 3; ++i) {
        rung::spawn(ctx, [&] { told += c.receive() ? 0 : 1; });
    }
    c.async_receive([&](error_code ec, int) { told += ec == asio::error::eof ? 1 : 0; });
    rung::spawn(ctx, [&] {
        rung::this_fiber::yield();
        c.close();
    });
    ctx.run();
    BOOST_TEST(told == 4);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancelled_wait_has_moved_no_value, Context, test::contexts) {
    Context ctx;
    rung::channel<int> c(ctx, 1);
    asio::cancellation_signal stop;
    int aborted = 0;
    rung::spawn(ctx, [&] {
        const auto [late, n] = c.async_receive(asio::as_tuple(use_fiber.after(1ms)));
        BOOST_TEST(late == asio::error::timed_out);
        BOOST_TEST(n == 0);
        BOOST_TEST(c.send(1));
        const auto [full] = c.async_send(2, asio::as_tuple(use_fiber.after(1ms)));
        BOOST_TEST(full == asio::error::timed_out);
        c.async_send(3, asio::bind_cancellation_slot(stop.slot(), [&](error_code ec) {
                         aborted += ec == asio::error::operation_aborted ? 1 : 0;
                     }));
        stop.emit(asio::cancellation_type::total);
        BOOST_TEST(c.receive().value() == 1);
        BOOST_TEST(!c.try_receive().has_value());
    });
    ctx.run();
    BOOST_TEST(aborted == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancelled_fiber_leaves_the_channel, Context, test::contexts) {
    Context ctx;
    rung::channel<int> c(ctx, 1);
    asio::cancellation_signal stop;
    int ended = 0;
    rung::spawn(
        ctx, [&] { c.receive(); },
        asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e) {
            BOOST_CHECK_THROW(std::rethrow_exception(e), system_error);
            ++ended;
        }));
    rung::spawn(ctx, [&] {
        rung::this_fiber::yield();
        stop.emit(asio::cancellation_type::terminal);
        rung::this_fiber::yield();
        BOOST_TEST(c.send(1));
        BOOST_TEST(c.size() == 1U);
    });
    ctx.run();
    BOOST_TEST(ended == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancel_ends_all_waits, Context, test::contexts) {
    Context ctx;
    rung::channel<int> c(ctx);
    int aborted = 0;
    const auto count = [&](error_code ec, auto...) {
        aborted += ec == asio::error::operation_aborted ? 1 : 0;
    };
    c.async_receive(count);
    c.async_receive(count);
    c.cancel();
    c.async_send(1, count);
    c.cancel();
    BOOST_TEST(c.is_open());
    ctx.run();
    BOOST_TEST(aborted == 3);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_signal_may_come_when_the_channel_is_gone, Context,
                              test::contexts) {
    Context ctx;
    asio::cancellation_signal stop;
    int aborted = 0;
    {
        rung::channel<int> c(ctx);
        c.async_receive(asio::bind_cancellation_slot(stop.slot(), [&](error_code ec, int) {
            aborted += ec == asio::error::operation_aborted ? 1 : 0;
        }));
    }
    stop.emit(asio::cancellation_type::terminal);
    ctx.run();
    BOOST_TEST(aborted == 1);
    BOOST_TEST(!stop.slot().has_handler());
}

BOOST_AUTO_TEST_CASE(values_that_nobody_received_are_destroyed) {
    rung::io_context ctx;
    {
        rung::channel<counted> c(ctx, 3);
        for (int i = 0; i < 3; ++i) {
            BOOST_TEST(c.try_send(counted(i)));
        }
        BOOST_TEST(c.try_receive()->value == 0);
        BOOST_TEST(c.try_send(counted(3)));  // around the end of the slots
        c.async_send(counted(4), [](error_code) {});
    }
    ctx.run();
    BOOST_TEST(counted::living == 0);
}

BOOST_AUTO_TEST_CASE(fibers_that_wait_are_unwound_with_their_context) {
    const auto owned = std::make_shared<int>();
    {
        rung::io_context ctx;
        auto c = std::make_shared<rung::channel<int>>(ctx, 1);
        for (int i = 0; i < 3; ++i) {
            rung::spawn(ctx, [c, owned] {
                c->receive();
                BOOST_ERROR("nobody sends");
            });
        }
        ctx.poll();
    }
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(threads_and_fibers_pass_every_value_once) {
    constexpr int senders = 2;
    constexpr int receivers = 2;
    constexpr int each = 5'000;
    rung::io_context ctx;
    rung::channel<int> c(ctx, 16);
    std::atomic<std::int64_t> sum = 0;
    std::atomic<int> left = 2 * senders;
    const auto produce = [&] {
        for (int i = 1; i <= each; ++i) {
            c.send(i);
        }
        if (--left == 0) {
            c.close();
        }
    };
    const auto consume = [&] {
        while (const std::optional<int> n = c.receive()) {
            sum += *n;
        }
    };
    for (int i = 0; i < senders; ++i) {
        rung::spawn(ctx, produce);
        rung::spawn(ctx, consume);
    }
    test::thread_group threads(senders + receivers, [&](int i) {
        if (i % 2 == 0) {
            produce();
        } else {
            consume();
        }
    });
    test::thread_group runners(2, [&](int) { ctx.run(); });
    threads.join();
    runners.join();
    BOOST_TEST(sum == std::int64_t{2} * senders * each * (each + 1) / 2);
    BOOST_TEST(c.size() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
