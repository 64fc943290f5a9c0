// Fibers that have not ended when their context is destroyed: their stacks are unwound.

#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "contexts.hpp"
#include "errors_of.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using rung::use_fiber;

namespace {

struct fixture : test::time_limit {};

/// An operation whose handler is kept for ever, or until `kept` goes.
template <class Token>
auto never_complete(std::shared_ptr<void>& kept, Token&& token) {
    return asio::async_initiate<Token, void()>(
        [&kept](auto handler) {
            kept = std::make_shared<decltype(handler)>(std::move(handler));
        },
        token);
}

/// A body runs in a fiber until it waits; then the context goes, and with it all that the fiber
/// had.
template <class Context, class Body>
void unwinds(Body body) {
    const auto owned = std::make_shared<int>();
    bool went_on = false;
    {
        Context ctx;
        rung::spawn(
            ctx,
            [&, owned] {
                const auto on_stack = owned;
                body(ctx);
                went_on = true;
            },
            [owned](auto&&...) { BOOST_ERROR("the fiber has not ended"); });
        ctx.poll();
        ctx.poll();
        BOOST_TEST(owned.use_count() > 1);
    }
    BOOST_TEST(owned.use_count() == 1);
    BOOST_TEST(!went_on);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fiber_shutdown, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(unwinds_what_waits_for_each_kind_of_operation, Context,
                              test::contexts) {
    unwinds<Context>([](auto&) { rung::this_fiber::sleep_for(1h); });
    unwinds<Context>([](auto& ctx) {
        test::timer_of<Context> t(ctx, 1h);
        t.async_wait(use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        asio::steady_timer guest(asio::any_io_executor(ctx.get_executor()), 1h);
        guest.async_wait(use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        test::timer_of<Context> t(ctx, 1h);
        t.async_wait(use_fiber.after(1h));
    });
    unwinds<Context>([](auto& ctx) {
        using protocol = asio::local::stream_protocol;
        asio::basic_stream_socket<protocol, typename Context::executor_type> a(ctx);
        asio::basic_stream_socket<protocol, typename Context::executor_type> b(ctx);
        asio::local::connect_pair(a, b);
        char data[8];
        asio::async_read(a, asio::buffer(data), use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        asio::experimental::channel<typename Context::executor_type, void(error_code, int)> c(
            ctx.get_executor());
        c.async_receive(use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        rung::spawn(ctx, [] { rung::this_fiber::sleep_for(1h); }, use_fiber);
    });
    unwinds<Context>([](auto&) {
        for (;;) {
            rung::this_fiber::yield();
            static int turns = 0;
            if (++turns % 100 == 0) {
                rung::this_fiber::sleep_for(1h);
            }
        }
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(unwinds_what_waits_for_other_fibers, Context, test::contexts) {
    unwinds<Context>([](auto& ctx) {
        rung::mutex m(ctx);
        m.lock();
        m.lock();
    });
    unwinds<Context>([](auto& ctx) {
        rung::semaphore s(ctx, 0);
        s.async_acquire(asio::as_tuple(use_fiber));
    });
    unwinds<Context>([](auto& ctx) { rung::event(ctx).async_wait(use_fiber.after(1h)); });
    unwinds<Context>([](auto& ctx) { rung::latch(ctx, 1).wait(); });
    unwinds<Context>([](auto& ctx) {
        rung::mutex m(ctx);
        rung::condition_variable changed;
        std::unique_lock lock(m);
        const std::shared_ptr<void> at_end(nullptr, [&](void*) { lock.release(); });
        changed.wait(lock);
    });
    unwinds<Context>([](auto& ctx) { rung::channel<int>(ctx).receive(); });
    unwinds<Context>([](auto& ctx) { rung::channel<std::string>(ctx).send("nobody"); });
    unwinds<Context>([](auto& ctx) {
        auto [source, op] = rung::make_operation<int>();
        op.async_wait(use_fiber);
        static_cast<void>(ctx);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(unwinds_what_waits_for_io, Context, test::contexts) {
    using executor = typename Context::executor_type;
    unwinds<Context>([](auto& ctx) {
        asio::basic_socket_acceptor<asio::ip::tcp, executor> a(
            ctx, {asio::ip::address_v4::loopback(), 0});
        a.async_accept(use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        asio::basic_datagram_socket<asio::ip::udp, executor> s(
            ctx, {asio::ip::address_v4::loopback(), 0});
        asio::ip::udp::endpoint from;
        char data[8];
        s.async_receive_from(asio::buffer(data), from, use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        asio::basic_socket_acceptor<asio::ip::tcp, executor> a(
            ctx, {asio::ip::address_v4::loopback(), 0});
        a.async_wait(asio::socket_base::wait_read, use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        asio::basic_readable_pipe<executor> in(ctx);
        asio::basic_writable_pipe<executor> out(ctx);
        asio::connect_pipe(in, out);
        char data[8];
        in.async_read_some(asio::buffer(data), use_fiber);
    });
    unwinds<Context>([](auto& ctx) {
        asio::basic_signal_set<executor> signals(ctx, SIGUSR2);
        signals.async_wait(use_fiber);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(unwinds_what_nobody_will_ever_end, Context, test::contexts) {
    std::shared_ptr<void> kept;
    unwinds<Context>([&](auto&) { never_complete(kept, use_fiber); });
    kept.reset();  // the handler finds no fiber
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handler_that_is_dropped_unwinds_its_fiber, Context,
                              test::contexts) {
    Context ctx;
    std::shared_ptr<void> kept;
    bool unwound = false;
    rung::spawn(ctx, [&] {
        const std::shared_ptr<void> at_end(nullptr, [&](void*) { unwound = true; });
        never_complete(kept, use_fiber);
        BOOST_ERROR("there is nothing to go on with");
    });
    ctx.poll();
    BOOST_TEST(!unwound);
    kept.reset();
    BOOST_TEST(unwound);
    ctx.restart();
    ctx.run();
}

BOOST_AUTO_TEST_CASE(a_handler_dropped_at_once_unwinds_too) {
    rung::io_context ctx;
    bool unwound = false;
    rung::spawn(ctx, [&] {
        const std::shared_ptr<void> at_end(nullptr, [&](void*) { unwound = true; });
        asio::async_initiate<const rung::use_fiber_t, void()>([](auto) {}, use_fiber);
        BOOST_ERROR("there is nothing to go on with");
    });
    ctx.run();
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fibers_that_never_started_go_as_well, Context, test::contexts) {
    const auto owned = std::make_shared<int>();
    {
        Context ctx;
        rung::spawn(ctx, [owned] { BOOST_ERROR("not started"); });
        asio::post(rung::fiber_executor(ctx), [owned] { BOOST_ERROR("not started"); });
    }
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(destructors_that_wait_get_an_error_at_once, Context,
                              test::contexts) {
    bool tried = false;
    unwinds<Context>([&](auto&) {
        const std::shared_ptr<void> at_end(nullptr, [&](void*) {
            tried = true;
            try {
                rung::this_fiber::sleep_for(1h);
                BOOST_ERROR("nobody would end it");
            } catch (...) {
            }
        });
        rung::this_fiber::sleep_for(1h);
    });
    BOOST_TEST(tried);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_that_swallows_the_end_may_still_return, Context,
                              test::contexts) {
    const auto owned = std::make_shared<int>();
    int tries = 0;
    {
        Context ctx;
        rung::spawn(ctx, [&, owned] {
            for (int i = 0; i < 3; ++i) {
                try {
                    rung::this_fiber::sleep_for(1h);
                } catch (...) {
                    ++tries;
                }
            }
        });
        ctx.poll();
    }
    BOOST_TEST(tries == 3);
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(many_fibers_that_wait_for_each_other, Context, test::contexts) {
    const auto owned = std::make_shared<int>();
    {
        Context ctx;
        for (int i = 0; i < 100; ++i) {
            rung::spawn(ctx, [&ctx, owned, i] {
                const auto on_stack = owned;
                rung::spawn(
                    ctx,
                    [owned, i] {
                        for (int n = 0; n < i % 3; ++n) {
                            rung::this_fiber::yield();
                        }
                        rung::this_fiber::sleep_for(1h);
                    },
                    use_fiber);
            });
        }
        for (int i = 0; i < 150; ++i) {
            ctx.poll_one();
        }
    }
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_that_goes_on_for_ever_ends_the_process, Context,
                              test::contexts) {
    int status = 0;
    const std::string text = test::errors_of(
        [] {
            Context ctx;
            rung::spawn(ctx, {.name = "stubborn"}, [] {
                for (;;) {
                    try {
                        rung::this_fiber::sleep_for(1h);
                    } catch (...) {
                    }
                }
            });
            ctx.poll();
        },
        status);
    BOOST_TEST(text.find("fiber 'stubborn' goes on although it is being unwound") !=
               std::string::npos);
    BOOST_TEST(test::died_by(status, SIGABRT));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_exception_out_of_the_unwinding_ends_the_process, Context,
                              test::contexts) {
    int status = 0;
    const std::string text = test::errors_of(
        [] {
            Context ctx;
            asio::post(rung::fiber_executor(ctx, {.name = "defiant"}), [] {
                try {
                    rung::this_fiber::sleep_for(1h);
                } catch (...) {
                    throw std::runtime_error("another");
                }
            });
            ctx.poll();
        },
        status);
    BOOST_TEST(text.find("fiber 'defiant' threw while it was unwound") != std::string::npos);
    BOOST_TEST(test::died_by(status, SIGABRT));
}

BOOST_AUTO_TEST_SUITE_END()
