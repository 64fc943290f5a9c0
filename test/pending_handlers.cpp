// The end of a context that still has work: handlers are destroyed, not called, and nothing is
// left.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <rung/rung.hpp>
#include <stdexcept>
#include <thread>
#include <utility>

#include "called_once.hpp"
#include "context_fixture.hpp"
#include "contexts.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// Counts its own copies that are alive, in `alive`.
class counted {
public:
    explicit counted(int& alive) : alive_(&alive) { ++*alive_; }
    counted(const counted& other) : counted(*other.alive_) {}
    counted& operator=(const counted&) = default;
    ~counted() { --*alive_; }

private:
    int* alive_;
};

template <class Context>
struct workload {
    workload(Context& c, int& alive) : ctx(c), probe(alive) {}
    Context& ctx;
    counted probe;
    test::timer_of<Context> timers[3]{test::timer_of<Context>(ctx), test::timer_of<Context>(ctx),
                                      test::timer_of<Context>(ctx)};
};

template <class Context>
asio::awaitable<void> waits_and_posts(std::shared_ptr<workload<Context>> w) {
    test::timer_of<Context> own(w->ctx, 1ms);
    co_await own.async_wait(asio::use_awaitable);
    co_await asio::post(asio::use_awaitable);
    own.expires_after(1ms);
    co_await own.async_wait(asio::use_awaitable);
}

/// Handlers of every kind: posted at each level, nested, through a strand, of timers that expire
/// and that are cancelled, of a coroutine, and with work of their own. All keep the workload alive.
template <class Context>
void start(Context& ctx, int& alive) {
    const auto w = std::make_shared<workload<Context>>(ctx, alive);
    const auto ex = ctx.get_executor();
    const auto strand = asio::make_strand(ex);
    const auto post_more = [w](const auto& to, int n) {
        for (int i = 0; i < n; ++i) {
            asio::post(to, [w] {});
        }
    };
    for (const rung::priority p :
         {rung::priority::low, rung::priority::high, rung::priority::normal}) {
        asio::post(asio::prefer(ex, p), [=, probe = counted(alive)] {
            post_more(ex, 2);
            asio::dispatch(strand, [=] { post_more(strand, 1); });
        });
    }
    for (int i = 0; i < 3; ++i) {
        w->timers[i].expires_after(std::chrono::milliseconds(i) + (i == 2 ? 1h : 0h));
        w->timers[i].async_wait(asio::bind_executor(strand, [=](boost::system::error_code ec) {
            post_more(ex, ec ? 2 : 1);
            w->timers[2].cancel();
        }));
    }
    asio::co_spawn(ctx, waits_and_posts(w), [w](const std::exception_ptr& e) { BOOST_TEST(!e); });
    asio::post(ctx, [w, guard = asio::make_work_guard(ctx)] {});
}

/// Posts itself again when it is destroyed, so many times.
template <class Executor>
class comes_again {
public:
    comes_again(Executor ex, int times, int& destroyed)
        : ex_(std::move(ex)), times_(times), destroyed_(&destroyed) {}
    comes_again(comes_again&& other) noexcept
        : ex_(other.ex_),
          times_(other.times_),
          destroyed_(std::exchange(other.destroyed_, nullptr)) {}
    ~comes_again() {
        if (destroyed_ != nullptr) {
            ++*destroyed_;
            if (times_ > 0) {
                asio::post(ex_, comes_again(ex_, times_ - 1, *destroyed_));
            }
        }
    }
    void operator()() const { BOOST_ERROR("called"); }

private:
    Executor ex_;
    int times_;
    int* destroyed_;
};

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_are_destroyed_and_not_called, Context, test::contexts) {
    const std::size_t descriptors = test::open_descriptors();
    {
        Context ctx;
        auto strand = asio::make_strand(ctx);
        test::timer_of<Context> far(ctx, 1h);
        test::timer_of<Context> over(ctx, 0s);
        const auto start_all = [&] {
            asio::post(ctx, test::never());
            asio::defer(asio::prefer(ctx.get_executor(), rung::priority::low), test::never());
            asio::post(asio::prefer(ctx.get_executor(), rung::priority::high), test::never());
            asio::post(strand, test::never());
            far.async_wait(test::never());
            over.async_wait(asio::bind_executor(strand, test::never()));
            ctx.stop();
        };
        asio::post(ctx, start_all);
        std::thread([&] { asio::post(ctx, start_all); }).join();
        BOOST_TEST(ctx.run() == 1U);
    }
    BOOST_TEST(test::open_descriptors() == descriptors);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_context_may_end_without_ever_having_run, Context, test::contexts) {
    int alive = 0;
    {
        Context ctx;
        start(ctx, alive);
        BOOST_TEST(alive > 0);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_context_may_end_after_every_number_of_handlers, Context,
                              test::contexts) {
    int alive = 0;
    std::size_t all = 0;
    {
        Context ctx;
        start(ctx, alive);
        all = ctx.run_for(test::long_enough);
        BOOST_TEST(ctx.stopped());
        BOOST_TEST(alive == 0);
    }
    BOOST_TEST(all > 20U);
    for (std::size_t n = 1; n < all; ++n) {
        {
            Context ctx;
            start(ctx, alive);
            for (std::size_t i = 0; i < n && ctx.run_one_for(test::long_enough) != 0; ++i) {
            }
        }
        BOOST_TEST_CONTEXT("after " << n << " of " << all) { BOOST_TEST(alive == 0); }
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_may_own_what_they_wait_for, Context, test::contexts) {
    int alive = 0;
    {
        Context ctx;
        auto timer = std::make_shared<test::timer_of<Context>>(ctx, 1h);
        timer->async_wait([timer, probe = counted(alive)](auto) {});
        auto second = std::make_shared<test::timer_of<Context>>(ctx, 1h);
        timer->async_wait([second, probe = counted(alive)](auto) {});
        second->async_wait([timer, probe = counted(alive)](auto) {});
        asio::post(ctx, [timer, second, probe = counted(alive)] {});
        BOOST_TEST(alive == 4);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_may_post_again_when_they_are_destroyed, Context,
                              test::contexts) {
    int destroyed = 0;
    {
        Context ctx;
        asio::post(ctx, comes_again(ctx.get_executor(), 5, destroyed));
        asio::post(ctx, comes_again(asio::make_strand(ctx), 3, destroyed));
        asio::post(ctx, comes_again(asio::any_io_executor(ctx.get_executor()), 3, destroyed));
    }
    BOOST_TEST(destroyed == 6 + 4 + 4);
}

BOOST_AUTO_TEST_CASE(handlers_may_wait_again_when_they_are_destroyed) {
    using timer = test::timer_of<rung::io_context>;
    struct waits_again {
        std::shared_ptr<timer> on;
        std::shared_ptr<int> times;
        ~waits_again() {
            if (on != nullptr && times.use_count() == 1 && --*times > 0) {
                on->async_wait(waits_again{on, std::make_shared<int>(*times)});
            }
        }
        waits_again(std::shared_ptr<timer> t, std::shared_ptr<int> n)
            : on(std::move(t)), times(std::move(n)) {}
        waits_again(waits_again&&) = default;
        void operator()(boost::system::error_code) const { BOOST_ERROR("called"); }
    };
    std::weak_ptr<timer> watch;
    {
        rung::io_context ctx;
        const auto t = std::make_shared<timer>(ctx, 1h);
        watch = t;
        t->async_wait(waits_again{t, std::make_shared<int>(5)});
    }
    BOOST_TEST(watch.expired());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(coroutines_unwind, Context, test::contexts) {
    int alive = 0;
    {
        Context ctx;
        const auto suspended = [&](int waits) -> asio::awaitable<void> {
            const counted outer(alive);
            test::timer_of<Context> far(ctx, 1h);
            // A child's frame goes with its parent's.
            co_await [](test::timer_of<Context>& t, int n, int& a) -> asio::awaitable<void> {
                const counted inner(a);
                for (; n > 0; --n) {
                    co_await asio::post(asio::use_awaitable);
                }
                co_await t.async_wait(asio::use_awaitable);
            }(far, waits, alive);
        };
        for (int i = 0; i < 5; ++i) {
            asio::co_spawn(ctx, suspended(i), asio::detached);
        }
        ctx.poll_one();
        ctx.poll_one();
        ctx.poll_one();
        BOOST_TEST(alive > 0);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(after_an_exception_the_rest_is_destroyed, Context, test::contexts) {
    int alive = 0;
    {
        Context ctx;
        asio::post(ctx, [probe = counted(alive)] { throw std::runtime_error("thrown"); });
        start(ctx, alive);
        BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
        BOOST_TEST(alive > 0);
    }
    BOOST_TEST(alive == 0);
}

namespace {

/// A service that holds handlers until its shutdown, and an executor that is work until its end.
class holder : public asio::execution_context::service {
public:
    using key_type = holder;
    static inline asio::execution_context::id id;

    explicit holder(asio::execution_context& ctx) : service(ctx) {}
    void shutdown() override {
        held_.reset();
        ++shutdowns;
    }
    void hold(std::shared_ptr<void> what) { held_ = std::move(what); }

    static inline int shutdowns = 0;

private:
    std::shared_ptr<void> held_;
};

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(services_are_shut_down_and_may_post_meanwhile, Context,
                              test::contexts) {
    int destroyed = 0;
    holder::shutdowns = 0;
    {
        Context ctx;
        using executor = typename Context::executor_type;
        asio::use_service<holder>(ctx).hold(
            std::make_shared<comes_again<executor>>(ctx.get_executor(), 3, destroyed));
        asio::post(ctx, test::never());
    }
    // Later versions of Asio shut the services of their own context down twice.
    if (std::is_base_of_v<rung::io_context, Context>) {
        BOOST_TEST(holder::shutdowns == 1);
    }
    BOOST_TEST(holder::shutdowns >= 1);
    BOOST_TEST(destroyed == 4);
}
