// What a program may write of asio::io_context beside running it: the older members, the classes inside
// it, and what it asks of the executor.

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "contexts.hpp"

namespace asio = boost::asio;
namespace execution = asio::execution;
using boost::system::error_code;
using boost::test_tools::per_element;

BOOST_AUTO_TEST_SUITE(io_context_members)

BOOST_AUTO_TEST_CASE_TEMPLATE(hints_of_every_kind_are_taken, Context, test::shared_contexts) {
    for (const int hint :
         {BOOST_ASIO_CONCURRENCY_HINT_DEFAULT, BOOST_ASIO_CONCURRENCY_HINT_SAFE,
          BOOST_ASIO_CONCURRENCY_HINT_UNSAFE, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO,
          BOOST_ASIO_CONCURRENCY_HINT_1, 0, 1, 2, 64}) {
        Context context(hint);
        int ran = 0;
        asio::post(context, [&] { ++ran; });
        test::timer_of<Context> timer(context, std::chrono::milliseconds(1));
        timer.async_wait([&](error_code) { ++ran; });
        BOOST_TEST(context.run() == 2U);
        BOOST_TEST(ran == 2);
    }
    // Without locks for I/O objects, which one thread uses; but several run handlers.
    Context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
    const auto work = asio::make_work_guard(context);
    std::size_t there = 0;
    std::thread other([&] { there = context.run(); });
    asio::post(context, [&] { context.stop(); });
    const std::size_t here = context.run();
    other.join();
    BOOST_TEST(here + there == 1U);
}

#if !defined(BOOST_ASIO_NO_DEPRECATED)

// Newer versions of stock's compile only until the handler is called.
#if BOOST_VERSION < 108400
using wrapping_contexts = test::shared_contexts;
#else
using wrapping_contexts = std::tuple<rung::io_context>;
#endif

BOOST_AUTO_TEST_CASE_TEMPLATE(a_wrapped_handler_runs_on_the_context, Context, wrapping_contexts) {
    Context context;
    std::string seen;
    auto wrapped = context.wrap([&, owned = std::make_shared<int>(1)](int n, std::string s) {
        seen += s + std::to_string(n + *owned);
    });
    const auto copy = wrapped;
    wrapped(1, std::string("a"));
    copy(2, std::string("b"));
    context.wrap([&] { seen += "c"; })();
    BOOST_TEST(seen.empty());
    const std::function<void(int, std::string)> function(copy);
    asio::post(context, [&] {
        seen += "!";
        function(3, std::string("d"));  // runs at once
        seen += "!";
    });
    BOOST_TEST(context.run() == 4U);
    BOOST_TEST(seen == "a2b3c!d4!");

    test::timer_of<Context> timer(context, std::chrono::milliseconds(1));
    timer.async_wait(context.wrap([&](error_code ec) { seen = ec ? "error" : "expired"; }));
    context.restart();
    context.run();
    BOOST_TEST(seen == "expired");
}

#endif

#if RUNG_ASIO_HAS_DEPRECATED

BOOST_AUTO_TEST_CASE_TEMPLATE(runs_with_an_error_code_run_and_reset_restarts, Context,
                              test::shared_contexts) {
    Context context;
    for (int i = 0; i < 6; ++i) {
        context.post([] {});
    }
    error_code ec = asio::error::eof;
    BOOST_TEST(context.run_one(ec) == 1U);
    BOOST_TEST(!ec);
    ec = asio::error::eof;
    BOOST_TEST(context.poll_one(ec) == 1U);
    BOOST_TEST(!ec);
    ec = asio::error::eof;
    BOOST_TEST(context.poll(ec) == 4U);
    BOOST_TEST(!ec);
    BOOST_TEST(context.stopped());
    context.reset();
    BOOST_TEST(!context.stopped());
    context.post([] { throw std::runtime_error("from a handler"); });
    context.post([] {});
    ec = asio::error::eof;
    BOOST_CHECK_THROW(context.run(ec), std::runtime_error);
    BOOST_TEST(context.run(ec) == 1U);
    BOOST_TEST(!ec);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(post_and_dispatch_of_the_context_take_handlers_and_tokens, Context,
                              test::shared_contexts) {
    Context context;
    std::vector<int> ran;
    context.dispatch([&, owned = std::make_shared<int>(1)] { ran.push_back(*owned); });
    context.post([&] {
        context.post([&] { ran.push_back(4); });
        context.dispatch([&] { ran.push_back(2); });
        ran.push_back(3);
    });
    std::future<void> posted = context.post(asio::use_future);
    auto strand = asio::make_strand(context);
    context.post(asio::bind_executor(strand, [&] {
        BOOST_TEST(strand.running_in_this_thread());
        ran.push_back(5);
    }));
    context.run();
    posted.get();
    std::sort(ran.begin() + 3, ran.end());
    BOOST_TEST(ran == (std::vector<int>{1, 2, 3, 4, 5}), per_element());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(work_keeps_run_from_returning, Context, test::shared_contexts) {
    Context context;
    auto work = std::make_unique<typename Context::work>(context);
    BOOST_TEST(&work->get_io_context() == &context);
    auto copy = std::make_unique<typename Context::work>(*work);
    BOOST_TEST(context.poll() == 0U);
    BOOST_TEST(!context.stopped());
    work.reset();
    BOOST_TEST(context.poll() == 0U);
    BOOST_TEST(!context.stopped());
    context.post([&] { copy.reset(); });
    BOOST_TEST(context.run() == 1U);
}

#endif

#if !defined(BOOST_ASIO_NO_EXTENSIONS) && !defined(BOOST_ASIO_NO_TS_EXECUTORS)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_strand_of_the_context_runs_one_handler_at_a_time, Context,
                              test::shared_contexts) {
    Context context;
    typename Context::strand strand(context);
    const typename Context::strand same(strand);
    BOOST_TEST((strand == same));
    BOOST_TEST(!(strand != same));
    BOOST_TEST(&strand.context() == &context);
    int inside = 0;
    int most = 0;
    int ran = 0;  // guarded by the strand, as the others
    const auto handler = [&] {
        most = std::max(most, ++inside);
        BOOST_TEST(strand.running_in_this_thread());
        std::this_thread::yield();
        --inside;
        ++ran;
    };
    const std::allocator<void> a;
    for (int i = 0; i < 100; ++i) {
        asio::post(strand, handler);
        asio::dispatch(same, handler);
        asio::defer(strand, handler);
        strand.post(handler, a);
        strand.dispatch(handler, a);
        strand.defer(handler, a);
        asio::post(context, asio::bind_executor(strand, handler));
#if RUNG_ASIO_HAS_DEPRECATED
        strand.post(handler);
        strand.dispatch(handler);
#endif
#if !defined(BOOST_ASIO_NO_DEPRECATED)
        asio::post(context, strand.wrap(handler));
        strand.wrap([&](int n) {
            handler();
            ran += n;
        })(0);
#endif
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] { context.run(); });
    }
    for (std::thread& t : threads) {
        t.join();
    }
    BOOST_TEST(most == 1);
    BOOST_TEST(ran % 100 == 0);
    BOOST_TEST(ran >= 700);
    BOOST_TEST(!strand.running_in_this_thread());
}

#if !defined(BOOST_ASIO_NO_DEPRECATED)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_composed_operation_of_a_wrapped_handler_keeps_to_its_strand,
                              Context, test::shared_contexts) {
    using local = asio::local::stream_protocol;
    using socket = asio::basic_stream_socket<local, typename Context::executor_type>;
    Context context;
    typename Context::strand strand(context);
    socket near(context);
    socket far(context);
    asio::local::connect_pair(near, far);
    std::string in;
    bool all_inside = true;
    const auto whole = [&](error_code, std::size_t n) -> std::size_t {
        all_inside = all_inside && (n == 0 || strand.running_in_this_thread());
        return n < 3 ? 1 : 0;
    };
    asio::async_read(near, asio::dynamic_buffer(in), whole,
                     strand.wrap([&](error_code ec, std::size_t n) {
                         BOOST_TEST(!ec);
                         BOOST_TEST(n == 3U);
                         BOOST_TEST(strand.running_in_this_thread());
                     }));
    asio::write(far, asio::buffer("abc", 3));
    context.run();
    BOOST_TEST(in == "abc");
    BOOST_TEST(all_inside);
}

#endif

BOOST_AUTO_TEST_CASE_TEMPLATE(the_executor_has_the_older_members, Context, test::shared_contexts) {
    Context context;
    const typename Context::executor_type ex = context.get_executor();
    Context& same = ex.context();
    BOOST_TEST(&same == &context);
    ex.on_work_started();
    BOOST_TEST(context.poll() == 0U);
    BOOST_TEST(!context.stopped());
    std::vector<int> ran;
    ex.post([&] { ran.push_back(1); }, std::allocator<void>());
    ex.defer([&] { ran.push_back(2); }, std::allocator<int>());
    ex.dispatch([&] { ran.push_back(3); }, std::allocator<void>());
    ex.post([&] { ex.on_work_finished(); }, std::allocator<void>());
    BOOST_TEST(context.run() == 4U);
    BOOST_TEST(ran == (std::vector<int>{1, 2, 3}), per_element());

    const asio::executor polymorphic(ex);
    context.restart();
    asio::post(polymorphic, [&] { ran.push_back(4); });
    BOOST_TEST(context.run() == 1U);
    BOOST_TEST((polymorphic == asio::executor(context.get_executor())));
}

#endif

BOOST_AUTO_TEST_SUITE_END()
