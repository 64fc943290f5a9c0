// Those who wait in objects of synchronisation and do not stay to the end: they are cancelled, late,
// or gone with their context.

#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <rung/rung.hpp>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "fiber_test.hpp"

namespace {

struct fixture : test::time_limit {};

/// Whether every other thread of the process waits for something, as the system sees it.
bool all_others_sleep() {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream stat(task.path() / "stat");
        const std::string text(std::istreambuf_iterator<char>(stat), {});
        const bool self = task.path().filename() == std::to_string(::gettid());
        if (!self && text.find(") S ") == std::string::npos) {
            return false;
        }
    }
    return true;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(waiter, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_ends_its_own_wait_and_no_other, Context, test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    rung::condition_variable changed;
    bool held = false;
    rung::spawn(ctx, [&] {
        std::unique_lock lock(m);
        changed.async_wait(m, use_fiber.after(1h));
        BOOST_TEST(!held);
    });
    rung::spawn(ctx, [&] {
        const std::lock_guard lock(m);
        held = true;
        changed.notify_one();  // who was notified waits for the mutex now
        rung::this_fiber::sleep_for(20ms);
        held = false;
    });
    rung::spawn(ctx, [&] {
        const auto [ec] = m.async_lock(asio::as_tuple(use_fiber.after(1ms)));
        BOOST_TEST(ec == asio::error::timed_out);
        BOOST_TEST(held);
    });
    ctx.run();
    BOOST_TEST(m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_signal_ends_a_wait_in_every_object, Context, test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    rung::mutex of_condition(ctx);
    rung::semaphore s(ctx, 0);
    rung::event e(ctx);
    rung::latch l(ctx, 1);
    rung::condition_variable changed;
    BOOST_TEST(m.try_lock());
    BOOST_TEST(of_condition.try_lock());
    asio::cancellation_signal signals[5];
    int aborted = 0;
    const auto told = [&](int i) {
        return asio::bind_cancellation_slot(signals[i].slot(), [&](error_code ec) {
            aborted += ec == asio::error::operation_aborted ? 1 : 0;
        });
    };
    m.async_lock(told(0));
    s.async_acquire(told(1));
    e.async_wait(told(2));
    l.async_wait(told(3));
    changed.async_wait(of_condition, told(4));
    ctx.poll();
    BOOST_TEST(aborted == 0);
    for (asio::cancellation_signal& signal : signals) {
        signal.emit(asio::cancellation_type::total);
    }
    ctx.restart();
    ctx.run();
    BOOST_TEST(aborted == 5);
    BOOST_TEST(!of_condition.try_lock());  // who was cancelled at the condition has it
    m.unlock();
    of_condition.unlock();
    s.release();
    e.set();
    l.count_down();
    changed.notify_all();
    BOOST_TEST(m.try_lock());
    BOOST_TEST(s.available() == 1U);
    for (asio::cancellation_signal& signal : signals) {
        BOOST_TEST(!signal.slot().has_handler());
    }
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancelled_fiber_is_told_in_every_object, Context,
                              test::contexts) {
    Context ctx;
    rung::mutex m(ctx);
    rung::semaphore s(ctx, 0);
    rung::event e(ctx);
    rung::latch l(ctx, 1);
    rung::condition_variable changed;
    asio::cancellation_signal signals[4];
    int aborted = 0;
    const auto start = [&](int i, auto wait) {
        rung::spawn(ctx, wait,
                    asio::bind_cancellation_slot(signals[i].slot(), [&](std::exception_ptr error) {
                        BOOST_CHECK_THROW(std::rethrow_exception(error), system_error);
                        ++aborted;
                    }));
    };
    start(0, [&] { s.acquire(); });
    start(1, [&] { e.wait(); });
    start(2, [&] { l.wait(); });
    start(3, [&] {
        std::unique_lock lock(m);
        const std::shared_ptr<void> at_end(nullptr, [&](void*) { BOOST_TEST(!m.try_lock()); });
        changed.wait(lock);
    });
    asio::post(ctx, [&] {
        for (asio::cancellation_signal& signal : signals) {
            signal.emit(asio::cancellation_type::terminal);
        }
    });
    ctx.run();
    BOOST_TEST(aborted == 4);
    s.release();
    BOOST_TEST(s.available() == 1U);
    BOOST_TEST(m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_that_is_unwound_leaves_the_line, Context, test::contexts) {
    rung::io_context other;
    rung::mutex m(other);
    rung::semaphore s(other, 0);
    rung::channel<int> c(other, 1);
    rung::condition_variable changed;
    BOOST_TEST(m.try_lock());
    {
        Context ctx;
        rung::spawn(ctx, [&] { m.lock(); });
        rung::spawn(ctx, [&] { m.async_lock(asio::as_tuple(use_fiber.after(1h))); });
        rung::spawn(ctx, [&] { s.acquire(); });
        rung::spawn(ctx, [&] { c.receive(); });
        ctx.poll();
    }
    m.unlock();
    BOOST_TEST(m.try_lock());
    s.release();
    BOOST_TEST(s.available() == 1U);
    BOOST_TEST(c.try_send(1));
    BOOST_TEST(c.size() == 1U);
    {
        Context ctx;
        rung::spawn(ctx, [&] { c.send(2); });
        ctx.poll();
    }
    BOOST_TEST(c.receive().value() == 1);
    BOOST_TEST(!c.try_receive().has_value());
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_unit_that_nobody_got_goes_back, Context, test::contexts) {
    rung::io_context other;
    rung::mutex m(other);
    rung::semaphore s(other, 0);
    BOOST_TEST(m.try_lock());
    {
        Context ctx;
        rung::spawn(ctx, [&] { m.lock(); });
        m.async_lock(asio::bind_executor(ctx, [](error_code) { BOOST_ERROR("never called"); }));
        rung::spawn(ctx, [&] { s.async_acquire(asio::as_tuple(use_fiber)); });
        asio::co_spawn(ctx, s.async_acquire(asio::use_awaitable), asio::detached);
        ctx.poll();
        m.unlock();
        s.release(2);
        BOOST_TEST(!m.try_lock());
        BOOST_TEST(s.available() == 0U);
    }
    BOOST_TEST(m.try_lock());
    BOOST_TEST(s.available() == 2U);
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_value_that_nobody_got_is_received_by_the_next, Context,
                              test::contexts) {
    for (const std::size_t capacity : {0U, 1U, 3U}) {
        rung::io_context other;
        rung::channel<int> c(other, capacity);
        std::size_t sent = 0;
        {
            Context ctx;
            error_code ignored;
            rung::spawn(ctx, [&] { c.receive(); });
            rung::spawn(ctx, [&] { c.async_receive(use_fiber); });
            rung::spawn(ctx, [&] { c.async_receive(asio::redirect_error(use_fiber, ignored)); });
            ctx.poll();
            c.async_receive(asio::bind_executor(ctx, [](error_code, int) {}));
            while (c.try_send(static_cast<int>(sent))) {
                ++sent;
            }
            BOOST_TEST(sent == 4 + capacity);
        }
        std::multiset<int> received;
        while (const auto n = c.try_receive()) {
            received.insert(*n);
        }
        BOOST_TEST(received.size() == sent);
        BOOST_TEST(std::set<int>(received.begin(), received.end()).size() == sent);
    }
}

BOOST_AUTO_TEST_CASE(a_value_that_goes_back_is_the_first_again) {
    rung::io_context other;
    rung::channel<std::string> c(other, 2);
    const std::string sent[] = {std::string(99, 'a'), std::string(99, 'b'), std::string(99, 'c')};
    {
        rung::io_context ctx(1);
        rung::spawn(ctx, [&] { c.async_receive(asio::as_tuple(use_fiber)); });
        ctx.poll();
        for (const std::string& s : sent) {
            BOOST_TEST(c.try_send(s));
        }
    }
    BOOST_TEST(c.size() == c.capacity());
    for (const std::string& s : sent) {
        BOOST_TEST(c.try_receive().value() == s);
    }
    BOOST_TEST(!c.try_receive().has_value());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_unwinding_gives_free_passes_the_unwound, Context,
                              test::contexts) {
    rung::io_context other;
    rung::mutex m(other);
    rung::event never(other);
    {
        Context ctx;
        for (int i = 0; i < 5; ++i) {
            rung::spawn(ctx, [&] {
                const std::lock_guard lock(m);
                never.wait();
            });
        }
        rung::spawn(ctx, [&] {
            const std::lock_guard lock(m);
            rung::this_fiber::sleep_for(1h);
        });
        ctx.poll();
        BOOST_TEST(!m.try_lock());
    }
    BOOST_TEST(m.try_lock());
    BOOST_TEST(!m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fiber_unwound_at_a_condition_does_not_have_the_mutex, Context,
                              test::contexts) {
    rung::io_context other;
    rung::mutex m(other);
    rung::condition_variable changed;
    for (const bool notified : {false, true}) {
        Context ctx;
        rung::spawn(ctx, [&] {
            std::unique_lock lock(m);
            changed.wait(lock);
        });
        ctx.poll();
        BOOST_TEST(m.try_lock());
        if (notified) {
            changed.notify_one();
        }
        m.unlock();
    }
    BOOST_TEST(m.try_lock());
    BOOST_TEST(!m.try_lock());
    m.unlock();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_is_gone_takes_nothing_back, Context, test::contexts) {
    const auto owned = std::make_shared<int>();
    {
        Context ctx;
        {
            rung::semaphore s(ctx, 0);
            rung::channel<std::shared_ptr<int>> c(ctx);
            rung::spawn(ctx, [&] { s.acquire(); });
            rung::spawn(ctx, [&] { c.receive(); });
            c.async_receive([](error_code, const std::shared_ptr<int>&) {});
            ctx.poll();
            s.release();
            BOOST_TEST(c.try_send(owned));
            BOOST_TEST(c.try_send(owned));
        }
        rung::semaphore in_its_place(ctx, 0);
        rung::spawn(ctx, [&] { in_its_place.acquire(); });
    }
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_thread_that_waits_is_told_when_the_object_goes) {
    rung::io_context ctx;
    rung::mutex m(ctx);
    std::optional<rung::semaphore> s(std::in_place, ctx, 0U);
    std::optional<rung::event> e(std::in_place, ctx);
    std::optional<rung::latch> l(std::in_place, ctx, 1);
    std::optional<rung::mutex> locked(std::in_place, ctx);
    std::optional<rung::condition_variable> changed(std::in_place);
    BOOST_TEST(locked->try_lock());
    std::atomic<int> waiting = 0;
    std::atomic<int> told = 0;
    const auto wait_for = [&](auto wait) {
        ++waiting;
        try {
            wait();
        } catch (const system_error& error) {
            told += error.code() == asio::error::operation_aborted ? 1 : 0;
        }
    };
    test::thread_group threads(5, [&](int i) {
        switch (i) {
            case 0: return wait_for([&] { s->acquire(); });
            case 1: return wait_for([&] { e->wait(); });
            case 2: return wait_for([&] { l->wait(); });
            case 3: return wait_for([&] { locked->lock(); });
            default:
                std::unique_lock lock(m);
                wait_for([&] { changed->wait(lock); });
                BOOST_TEST(!m.try_lock());
        }
    });
    while (waiting != 5 || !all_others_sleep()) {
        std::this_thread::sleep_for(1ms);
    }
    s.reset();
    e.reset();
    l.reset();
    locked.reset();
    changed.reset();
    threads.join();
    BOOST_TEST(told == 5);
}

BOOST_AUTO_TEST_SUITE_END()
