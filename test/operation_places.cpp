// Each way of watching on each kind of executor: called there, once for what it asked for, and
// never inside the call that asked or the producer's.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <future>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "called_once.hpp"
#include "outcomes.hpp"

namespace asio = boost::asio;
using namespace test;

namespace {

/// Where functions run, and how what was posted there is brought to its end.
struct place {
    const char* name;
    std::function<void()> run;
    std::function<bool()> inside;
};

using source = rung::operation_source<int, int>;
using client = rung::operation<int, int>;

/// Watches in every way, before and after the end.
template <class Executor>
void check(const Executor& ex, const place& where) {
    BOOST_TEST_CONTEXT(where.name) {
        std::atomic<int> waits{0}, nexts{0}, outside{0};
        std::vector<int> each, latest;  // progress; one call at a time
        std::vector<state> ends;
        std::atomic<bool> in_call{false};
        const auto note = [&] { outside += where.inside() && !in_call ? 0 : 1; };
        const auto wait = [&](client& op) {
            op.async_wait(asio::bind_executor(ex, once([&](error_code ec, int value) {
                                                  note();
                                                  waits += !ec && value == 7 ? 1 : 100;
                                              })));
        };
        const auto next = [&](client& op) {
            op.async_next(asio::bind_executor(ex, once([&](state) {
                                                  note();
                                                  ++nexts;
                                              })));
        };
        auto [producer, op] = rung::make_operation<int, int>();
        wait(op);
        next(op);
        op.watch(asio::bind_executor(ex,
                                     [&](state, int p) {
                                         note();
                                         each.push_back(p);
                                     }),
                 rung::delivery::each);
        op.watch(asio::bind_executor(ex, [&](state s, int p) {
            note();
            latest.push_back(p);
            if (is_final(s)) {
                ends.push_back(s);
            }
        }));
        in_call = std::is_same_v<Executor, asio::io_context::executor_type> ||
                  std::is_same_v<Executor, rung::executor>;  // nobody else runs those
        producer.set_running();
        producer.set_progress(1);
        producer.set_progress(2);
        producer.set_done(7);
        wait(op);
        next(op);
        in_call = false;
        where.run();
        BOOST_TEST(waits == 2);
        BOOST_TEST(nexts == 2);
        BOOST_TEST(outside == 0);
        BOOST_TEST(each == (std::vector<int>{0, 1, 2, 2}), boost::test_tools::per_element());
        BOOST_TEST(!latest.empty());
        BOOST_TEST(latest.back() == 2);
        BOOST_TEST(ends == std::vector<state>{state::done}, boost::test_tools::per_element());
    }
}

template <class Context>
void check_context(const char* name) {
    Context ctx;
    const place where{name,
                      [&] {
                          ctx.run();
                          ctx.restart();
                      },
                      [&] { return ctx.get_executor().running_in_this_thread(); }};
    check(ctx.get_executor(), where);
    check(asio::any_io_executor(ctx.get_executor()), where);
    const auto strand = asio::make_strand(ctx);
    check(strand, {"a strand", where.run, [&] { return strand.running_in_this_thread(); }});
    const auto erased = asio::make_strand(asio::any_io_executor(ctx.get_executor()));
    check(erased, {"a strand of an erased executor", where.run,
                   [&] { return erased.running_in_this_thread(); }});
    check(asio::any_io_executor(strand),
          {"an erased strand", where.run, [&] { return strand.running_in_this_thread(); }});
}

BOOST_AUTO_TEST_CASE(on_contexts) {
    check_context<rung::io_context>("rung::io_context");
    check_context<asio::io_context>("asio::io_context");
}

BOOST_AUTO_TEST_CASE(at_each_priority) {
    rung::io_context ctx;
    for (const auto p : {rung::priority::high, rung::priority::normal, rung::priority::low}) {
        check(rung::with_priority(ctx.get_executor(), p),
              {"a priority",
               [&] {
                   ctx.run();
                   ctx.restart();
               },
               [&] { return ctx.get_executor().running_in_this_thread(); }});
    }
}

BOOST_AUTO_TEST_CASE(in_fibers) {
    rung::io_context ctx;
    const rung::fiber_executor fibers(ctx);
    check(fibers, {"fibers",
                   [&] {
                       ctx.run();
                       ctx.restart();
                   },
                   [] { return rung::this_fiber::exists(); }});
}

BOOST_AUTO_TEST_CASE(in_a_thread_pool) {
    asio::thread_pool pool(1);
    const auto idle = [&] { asio::post(pool, asio::use_future).get(); };
    const place where{"a pool",
                      [&] {
                          idle();
                          idle();  // a function may have been posted again meanwhile
                      },
                      [&] { return pool.get_executor().running_in_this_thread(); }};
    check(pool.get_executor(), where);
    check(asio::any_io_executor(pool.get_executor()), where);
    asio::thread_pool several(3);
    const auto strand = asio::make_strand(several);
    check(strand, {"a strand of a pool", [&] { several.join(); },
                   [&] { return strand.running_in_this_thread(); }});
}

}  // namespace
