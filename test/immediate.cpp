// Handlers that say where they run if their operation ends within its initiating function.

#include <boost/version.hpp>

#if BOOST_VERSION >= 108200

#include <unistd.h>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/writable_pipe.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

/// Runs at once, on whichever thread.
auto at_once(outcome& o) { return asio::bind_immediate_executor(asio::system_executor(), into(o)); }

RUNG_RIVAL_CASE(what_ends_at_once_completes_where_its_handler_wants_it) {
    auto [a, b] = local_pair(loop);
    outcome sent;
    a.async_send(asio::buffer("x", 1), at_once(sent));
    BOOST_TEST(sent == done(1));
    char in[4];
    outcome nothing;
    b.async_receive(asio::buffer(in, 0), at_once(nothing));
    BOOST_TEST(nothing == done());
    asio::basic_readable_pipe<typename Loop::executor_type> r(loop.context());
    asio::basic_writable_pipe<typename Loop::executor_type> w(loop.context());
    asio::connect_pipe(r, w);
    outcome written;
    w.async_write_some(asio::buffer("x", 1), at_once(written));
    BOOST_TEST(written == done(1));
    a.close();
    outcome failed_receive;
    a.async_receive(asio::buffer(in), at_once(failed_receive));
    BOOST_TEST(failed_receive == failed(error::bad_descriptor));
    loop.run();
    BOOST_TEST(sent.calls + nothing.calls + written.calls + failed_receive.calls == 4);
}

RUNG_RIVAL_CASE(what_has_to_wait_completes_as_ever) {
    auto [a, b] = local_pair(loop);
    char in[4];
    outcome received;
    b.async_receive(asio::buffer(in), at_once(received));
    loop.poll();
    BOOST_TEST(received == outcome{});
    a.send(asio::buffer("x", 1));
    BOOST_TEST(received == outcome{});
    loop.run();
    BOOST_TEST(received == done(1));
}

RUNG_RIVAL_CASE(the_wish_is_found_behind_adaptors) {
    auto [a, b] = local_pair(loop);
    outcome as_tuple;
    a.async_send(asio::buffer("x", 1), asio::as_tuple(asio::bind_immediate_executor(
                                           asio::system_executor(), [&](auto result) {
                                               std::apply(into(as_tuple), std::move(result));
                                           })));
    BOOST_TEST(as_tuple == done(1));
    outcome bound;
    a.async_send(asio::buffer("x", 1),
                 asio::bind_executor(asio::make_strand(loop.context()), at_once(bound)));
    BOOST_TEST(bound == outcome{});  // a handler's own executor has the last word
    loop.run();
    BOOST_TEST(bound == done(1));
}

RUNG_RIVAL_CASE(an_erased_handler_may_or_may_not_have_a_wish) {
    auto [a, b] = local_pair(loop);
    using handler = asio::any_completion_handler<void(error_code, std::size_t)>;
    outcome with;
    a.async_send(asio::buffer("x", 1), handler(at_once(with)));
    BOOST_TEST(with == done(1));
    outcome without;
    a.async_send(asio::buffer("x", 1), handler(into(without)));
    BOOST_TEST(without == outcome{});
    loop.run();
    BOOST_TEST(without == done(1));
}

RUNG_RIVAL_CASE(the_contexts_own_executor_may_be_the_place) {
    auto [a, b] = local_pair(loop);
    outcome sent;
    a.async_send(asio::buffer("x", 1), asio::bind_immediate_executor(loop.executor(), into(sent)));
    BOOST_TEST(sent == outcome{});  // not on a thread of the context
    loop.run();
    BOOST_TEST(sent == done(1));
    outcome within;
    bool inside = false;
    asio::post(loop.context(), [&, &a = a] {
        a.async_send(asio::buffer("x", 1),
                     asio::bind_immediate_executor(loop.executor(), into(within)));
        inside = within.calls == 1;
    });
    loop.run();
    BOOST_TEST(inside);
    BOOST_TEST(within == done(1));
}

}  // namespace

#else

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_CASE(boost_has_no_immediate_executors_yet) { BOOST_TEST(BOOST_VERSION < 108200); }

#endif
