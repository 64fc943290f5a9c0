// Any asynchronous operation of Asio as an operation of ours.

#include "allocations.hpp"

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "contexts.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;

namespace {

template <class Context>
using socket_of =
    asio::basic_stream_socket<asio::local::stream_protocol, typename Context::executor_type>;

template <class Context>
struct socket_pair {
    explicit socket_pair(Context& ctx) : near(ctx), far(ctx) {
        asio::local::connect_pair(near, far);
    }
    socket_of<Context> near, far;
};

/// A context that runs on threads of its own for the length of a scope.
template <class Context>
class background {
public:
    explicit background(Context& ctx, int threads = 1) : work_(asio::make_work_guard(ctx)) {
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back([&ctx] { ctx.run(); });
        }
    }
    ~background() {
        work_.reset();
        for (std::thread& t : threads_) {
            t.join();
        }
    }
    background(const background&) = delete;
    background& operator=(const background&) = delete;

private:
    asio::executor_work_guard<typename Context::executor_type> work_;
    std::vector<std::thread> threads_;
};

BOOST_AUTO_TEST_CASE_TEMPLATE(a_post_is_done_when_it_has_run, Context, contexts) {
    Context ctx;
    rung::operation<> op = asio::post(ctx, rung::use_operation);
    BOOST_TEST(op.state() == state::running);
    ctx.run();
    BOOST_TEST(op.state() == state::done);
    op.get();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_gives_its_count, Context, contexts) {
    Context ctx;
    socket_pair<Context> s(ctx);
    std::array<char, 8> in{};
    rung::operation<std::size_t> op = s.near.async_read_some(asio::buffer(in), rung::use_operation);
    ctx.poll();
    BOOST_TEST(op.state() == state::running);
    s.far.send(asio::buffer("abc", 3));
    ctx.run();
    BOOST_TEST(op.get() == 3U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_failed_read_says_how_far_it_came, Context, contexts) {
    Context ctx;
    socket_pair<Context> s(ctx);
    std::array<char, 8> in{};
    auto op = asio::async_read(s.near, asio::buffer(in), rung::use_operation);
    s.far.send(asio::buffer("abc", 3));
    s.far.close();
    ctx.run();
    BOOST_TEST(op.state() == state::failed);
    BOOST_TEST(op.error() == error_code(asio::error::eof));
    BOOST_TEST(*op.value() == 3U);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancel_ends_a_read_and_leaves_others_alone, Context, contexts) {
    Context ctx;
    socket_pair<Context> s(ctx);
    std::array<char, 8> in{};
    auto reading = asio::async_read(s.near, asio::buffer(in), rung::use_operation);
    auto waiting = s.near.async_wait(asio::socket_base::wait_error, rung::use_operation);
    ctx.poll();
    reading.cancel();
    BOOST_TEST(reading.state() == state::running);  // a request
    while (!reading.ready()) {
        ctx.run_one();
    }
    BOOST_TEST(reading.state() == state::cancelled);
    BOOST_TEST(waiting.state() == state::running);
    waiting.cancel();
    ctx.run();
    BOOST_TEST(waiting.error() == aborted);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancel_ends_a_timer, Context, contexts) {
    Context ctx;
    timer_of<Context> timer(ctx, long_enough);
    auto op = timer.async_wait(rung::use_operation);
    op.cancel();
    ctx.run();
    BOOST_TEST(op.state() == state::cancelled);
    timer.expires_after(1ms);
    auto second = timer.async_wait(rung::use_operation);
    ctx.restart();
    ctx.run();
    BOOST_TEST(second.state() == state::done);
}

/// Starts a read of a socket where that lives, from another thread.
template <class Context, class Buffer>
rung::operation<std::size_t> start_read(Context& ctx, socket_of<Context>& s, Buffer buffer) {
    auto [source, started] = rung::make_operation<rung::operation<std::size_t>>();
    asio::post(ctx, [&s, buffer, src = std::move(source)]() mutable {
        src.set_done(asio::async_read(s, buffer, rung::use_operation));
    });
    return started.get();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(another_thread_starts_waits_and_cancels, Context, contexts) {
    const test::time_limit limit;
    Context ctx;
    socket_pair<Context> s(ctx);
    const background running(ctx);
    for (int i = 0; i < 200; ++i) {
        asio::post(ctx, rung::use_operation).get();
        std::array<char, 8> in{};
        auto reading = start_read(ctx, s.near, asio::buffer(in));
        reading.cancel();
        BOOST_TEST(reading.wait() == state::cancelled);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancel_from_a_thread_meets_the_end, Context, contexts) {
    const test::time_limit limit;
    Context ctx;
    socket_pair<Context> s(ctx);
    const background running(ctx);
    for (int i = 0; i < 200; ++i) {
        std::array<char, 1> in{};
        auto reading = start_read(ctx, s.near, asio::buffer(in));
        s.far.send(asio::buffer("x", 1));
        reading.cancel();
        reading.wait();
        const bool got_it = reading.state() == state::done;
        BOOST_TEST((got_it || reading.state() == state::cancelled));
        if (!got_it) {
            asio::post(ctx, [&] { asio::read(s.near, asio::buffer(in)); });
            asio::post(ctx, rung::use_operation).wait();
        }
    }
}

/// An asynchronous operation of a given signature, which completes with what it was given.
template <class Signature, class... Args>
auto async_complete(auto executor, Args... args) {
    return asio::async_initiate<const rung::use_operation_t&, Signature>(
        [=](auto handler) {
            asio::post(executor,
                       [h = std::move(handler), args...]() mutable { h(std::move(args)...); });
        },
        rung::use_operation);
}

BOOST_AUTO_TEST_CASE(a_signature_decides_the_value_type) {
    rung::io_context ctx;
    const auto ex = ctx.get_executor();
    rung::operation<> nothing = async_complete<void()>(ex);
    rung::operation<> code = async_complete<void(error_code)>(ex, error_code());
    rung::operation<int> value = async_complete<void(int)>(ex, 1);
    rung::operation<int> code_and_value =
        async_complete<void(error_code, int)>(ex, error_code(), 2);
    rung::operation<std::tuple<int, std::string>> several =
        async_complete<void(error_code, int, std::string)>(ex, error_code(), 3, std::string("x"));
    rung::operation<int> thrown = async_complete<void(std::exception_ptr, int)>(
        ex, std::make_exception_ptr(std::runtime_error("thrown")), 0);
    rung::operation<int> not_thrown =
        async_complete<void(std::exception_ptr, int)>(ex, std::exception_ptr(), 4);
    rung::operation<std::string> by_reference =
        async_complete<void(const error_code&, const std::string&)>(ex, error_code(),
                                                                    std::string("y"));
    rung::operation<> failed = async_complete<void(error_code)>(ex, refused);
    ctx.run();
    BOOST_TEST(nothing.state() == state::done);
    BOOST_TEST(code.state() == state::done);
    BOOST_TEST(value.get() == 1);
    BOOST_TEST(code_and_value.get() == 2);
    BOOST_TEST((several.get() == std::tuple(3, std::string("x"))));
    BOOST_CHECK_THROW(thrown.get(), std::runtime_error);
    BOOST_TEST(not_thrown.get() == 4);
    BOOST_TEST(by_reference.get() == "y");
    BOOST_TEST(failed.error() == refused);
}

BOOST_AUTO_TEST_CASE(a_coroutine_becomes_an_operation_and_is_cancelled_as_one) {
    rung::io_context ctx;
    rung::operation<int> quick = asio::co_spawn(
        ctx, []() -> asio::awaitable<int> { co_return 5; }, rung::use_operation);
    rung::operation<> slow = asio::co_spawn(
        ctx,
        []() -> asio::awaitable<void> {
            asio::steady_timer timer(co_await asio::this_coro::executor, long_enough);
            co_await timer.async_wait(asio::use_awaitable);
        },
        rung::use_operation);
    ctx.poll();
    BOOST_TEST(quick.get() == 5);
    slow.cancel();
    ctx.run();
    BOOST_TEST(slow.state() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_destroyed_abandons_its_operation) {
    rung::operation<> posted;
    rung::operation<> waiting;
    {
        rung::io_context ctx;
        rung::native<asio::steady_timer> timer(ctx, long_enough);
        posted = asio::post(ctx, rung::use_operation);
        waiting = timer.async_wait(rung::use_operation);
    }
    BOOST_TEST(posted.error() == abandoned);
    BOOST_TEST((waiting.error() == abandoned || waiting.error() == aborted));
    posted.cancel();
    waiting.cancel();
}

BOOST_AUTO_TEST_CASE(an_operation_that_is_dropped_goes_on) {
    rung::io_context ctx;
    socket_pair<rung::io_context> s(ctx);
    std::array<char, 8> in{};
    s.near.async_read_some(asio::buffer(in), rung::use_operation);
    s.far.send(asio::buffer("abc", 3));
    ctx.run();
    BOOST_TEST(std::string(in.data(), 3) == "abc");
}

BOOST_AUTO_TEST_CASE(cancel_in_a_strand_of_a_pool) {
    const test::time_limit limit;
    asio::thread_pool pool(2);
    auto strand = asio::make_strand(pool.get_executor());
    for (int i = 0; i < 50; ++i) {
        asio::steady_timer timer(strand, long_enough);
        auto [source, started] = rung::make_operation<rung::operation<>>();
        asio::post(strand, [&, src = std::move(source)]() mutable {
            src.set_done(timer.async_wait(rung::use_operation));
        });
        auto waiting = started.get();
        waiting.cancel();
        BOOST_TEST(waiting.wait() == state::cancelled);
        asio::post(strand, rung::use_operation).wait();
    }
    pool.join();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancel_meets_an_end_in_a_strand_of_two_threads, Context,
                              shared_contexts) {
    const test::time_limit limit;
    Context ctx;
    const auto strand = asio::make_strand(ctx);
    using strand_type = std::decay_t<decltype(strand)>;
    asio::basic_stream_socket<asio::local::stream_protocol, strand_type> near(strand), far(strand);
    asio::local::connect_pair(near, far);
    const background<Context> running(ctx, 2);
    for (int i = 0; i < 1000; ++i) {
        char in = '\0';
        auto [source, started] = rung::make_operation<rung::operation<std::size_t>>();
        asio::post(strand, [&, src = std::move(source)]() mutable {
            src.set_done(near.async_read_some(asio::buffer(&in, 1), rung::use_operation));
        });
        auto reading = started.get();
        far.send(asio::buffer("x", 1));
        reading.cancel();
        if (reading.wait() == state::cancelled) {
            near.read_some(asio::buffer(&in, 1));  // what a cancelled read has left
        } else {
            BOOST_TEST(reading.get() == 1U);
        }
        BOOST_TEST(in == 'x');
    }
}

/// An executor of which can be counted how many there are.
struct counted_executor {
    std::shared_ptr<int> token;
    asio::io_context* context;

    template <class F>
    void execute(F f) const {
        asio::post(*context, std::move(f));
    }
    bool operator==(const counted_executor&) const = default;
};

/// An initiation that names such an executor, and puts it into the slot, too.
struct counted_initiation {
    using executor_type = counted_executor;
    executor_type get_executor() const { return executor; }

    template <class Handler>
    void operator()(Handler h) const {
        asio::post(*executor.context, [h = std::move(h)]() mutable { h(error_code()); });
    }

    counted_executor executor;
};

BOOST_AUTO_TEST_CASE(an_operation_that_has_ended_keeps_no_executor) {
    for (const bool cancelled : {false, true}) {
        asio::io_context ctx;
        const counted_executor executor{std::make_shared<int>(0), &ctx};
        const auto count = [&] { return executor.token.use_count(); };
        auto op = asio::async_initiate<const rung::use_operation_t&, void(error_code)>(
            counted_initiation{executor}, rung::use_operation);
        BOOST_TEST(count() == 2);
        if (cancelled) {
            op.cancel();
        }
        ctx.run();
        BOOST_TEST(op.state() == state::done);
        BOOST_TEST(count() == 1);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_operation_may_outlive_the_strand_of_its_object, Context,
                              shared_contexts) {
    for (const bool cancelled : {false, true}) {
        rung::operation<> waited, spawned, lost;
        {
            Context ctx;
            const auto strand = asio::make_strand(ctx);
            using strand_type = std::decay_t<decltype(strand)>;
            asio::basic_waitable_timer<std::chrono::steady_clock,
                                       asio::wait_traits<std::chrono::steady_clock>, strand_type>
                timer(strand, cancelled ? long_enough : 0s), idle(strand, long_enough);
            waited = timer.async_wait(rung::use_operation);
            spawned = asio::co_spawn(
                strand,
                [&]() -> asio::awaitable<void> { co_await asio::post(asio::use_awaitable); },
                rung::use_operation);
            lost = idle.async_wait(rung::use_operation);
            if (cancelled) {
                waited.cancel();
                spawned.cancel();
            }
            while (!waited.ready() || !spawned.ready()) {
                ctx.run_one();
            }
        }
        BOOST_TEST((waited.state() == (cancelled ? state::cancelled : state::done)));
        BOOST_TEST(lost.ready());
        lost.cancel();
    }
}

BOOST_AUTO_TEST_CASE(it_allocates_nothing_in_steady_state) {
    rung::io_context ctx(1);
    rung::native<asio::steady_timer> timer(ctx);
    BOOST_TEST(needs_no_new_memory([&] {
        auto posted = asio::post(ctx, rung::use_operation);
        timer.expires_after(long_enough);
        auto waiting = timer.async_wait(rung::use_operation);
        waiting.cancel();
        ctx.run();
        ctx.restart();
        BOOST_TEST_REQUIRE((posted.ready() && waiting.ready()));
    }));
}

}  // namespace
