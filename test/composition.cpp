// What Asio composes operations of, where other tests do not: its coro, co_composed, async_compose,
// promises, groups over ranges, channels between threads, time limits, more arguments, filters of
// cancellation.

#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
// They need a channel to be known.
#include <boost/asio/experimental/co_composed.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "called_once.hpp"
#include "context_fixture.hpp"
#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

#if defined(__GNUC__) && !defined(__clang__)
// GCC takes the pair of functions that Asio gives co_composed's frames for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace asio = boost::asio;
namespace experimental = asio::experimental;
using namespace std::chrono_literals;
using boost::system::error_code;
using local = asio::local::stream_protocol;
using socket_type = rung::native<local::socket>;
using timer = test::timer_of<rung::io_context>;

namespace {

struct fixture : test::time_limit, test::context_fixture {
    fixture() : near(context()), far(context()) { asio::local::connect_pair(near, far); }
    ~fixture() {
        near.close();
        far.close();
        context().restart();
        context().run();
    }

    socket_type near;
    socket_type far;
};

#if !defined(__clang__)  // which does not find the constructor of Asio's coro_promise
/// Yields the bytes that arrive, one at a time.
experimental::coro<char, int> bytes(asio::any_io_executor, socket_type& from) {
    int n = 0;
    for (; n < 3; ++n) {
        char c = 0;
        co_await asio::async_read(from, asio::buffer(&c, 1), asio::deferred);
        co_yield c;
    }
    co_return n;
}

experimental::coro<void, std::string> collect(asio::any_io_executor executor, socket_type& from,
                                              timer& pause) {
    std::string all;
    auto source = bytes(executor, from);
    for (;;) {
        const auto next = co_await source;
        if (next.index() == 1) {
            co_return all + std::to_string(std::get<1>(next));
        }
        all += std::get<0>(next);
        pause.expires_after(1ms);
        co_await pause.async_wait(asio::deferred);
    }
}

#endif

/// Sends back what comes, until it is cancelled or the other end is closed.
template <class Token>
auto async_echo(socket_type& socket, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        experimental::co_composed<void(error_code, std::size_t)>(
            [](auto state, socket_type& s) -> void {
                state.throw_if_cancelled(false);
                state.reset_cancellation_state(asio::enable_terminal_cancellation());
                std::size_t echoed = 0;
                char data[64];
                for (;;) {
                    const auto [read_error, n] = co_await s.async_read_some(
                        asio::buffer(data), asio::as_tuple(asio::deferred));
                    if (read_error) {
                        co_return {read_error, echoed};
                    }
                    const auto [write_error, m] = co_await asio::async_write(
                        s, asio::buffer(data, n), asio::as_tuple(asio::deferred));
                    if (write_error) {
                        co_return {write_error, echoed};
                    }
                    echoed += m;
                }
            },
            socket),
        token, std::ref(socket));
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(composition, fixture)

#if !defined(__clang__)
BOOST_AUTO_TEST_CASE(asios_coro_awaits_native_operations_and_other_coros) {
    timer pause(context());
    auto all = collect(context().get_executor(), near, pause);
    std::string got;
    all.async_resume(test::once([&](const std::exception_ptr& e, const std::string& text) {
        BOOST_TEST(!e);
        got = text;
    }));
    asio::write(far, asio::buffer("abc", 3));
    context().run();
    BOOST_TEST(got == "abc3");
}
#endif

BOOST_AUTO_TEST_CASE(a_composed_coroutine_echoes_until_the_other_end_is_closed) {
    error_code ended;
    std::size_t echoed = 0;
    async_echo(near, test::once([&](error_code ec, std::size_t n) {
                   ended = ec;
                   echoed = n;
               }));
    std::string in(6, '\0');
    asio::async_write(far, asio::buffer("abcdef", 6), asio::detached);
    asio::async_read(far, asio::buffer(in), [&](error_code ec, std::size_t) {
        BOOST_TEST(!ec);
        far.close();
    });
    context().run();
    BOOST_TEST(in == "abcdef");
    BOOST_TEST(ended == asio::error::eof);
    BOOST_TEST(echoed == 6U);
}

BOOST_AUTO_TEST_CASE(a_composed_coroutine_is_cancelled_through_its_slot) {
    asio::cancellation_signal signal;
    error_code ended;
    async_echo(near, asio::bind_cancellation_slot(signal.slot(),
                                                  [&](error_code ec, std::size_t) { ended = ec; }));
    context().poll();
    signal.emit(asio::cancellation_type::terminal);
    context().run();
    BOOST_TEST(ended == asio::error::operation_aborted);
}

/// Sends back what comes, twice, as a state machine that calls itself.
struct echo_twice {
    socket_type& socket;
    char& byte;
    int step = 0;

    template <class Self>
    void operator()(Self& self, error_code ec = {}, std::size_t = 0) {
        if (ec || step == 4) {
            self.complete(ec, step / 2);
        } else if (step++ % 2 == 0) {
            socket.async_receive(asio::buffer(&byte, 1), std::move(self));
        } else {
            socket.async_send(asio::buffer(&byte, 1), std::move(self));
        }
    }
};
template <class Token>
auto async_echo_twice(socket_type& socket, char& byte, Token&& token) {
    return asio::async_compose<Token, void(error_code, int)>(echo_twice{socket, byte}, token,
                                                             socket);
}

BOOST_AUTO_TEST_CASE(a_state_machine_of_native_operations_completes_as_one) {
    char byte = 0;
    auto strand = asio::make_strand(context());
    int echoed = 0;
    async_echo_twice(near, byte,
                     asio::bind_executor(strand, test::once([&](error_code ec, int n) {
                                             BOOST_TEST(!ec);
                                             BOOST_TEST(strand.running_in_this_thread());
                                             echoed = n;
                                         })));
    far.send(asio::buffer("ab", 2));
    context().run();
    BOOST_TEST(echoed == 2);
    char back[2] = {};
    asio::read(far, asio::buffer(back));
    BOOST_TEST(std::string(back, 2) == "ab");

    auto future = async_echo_twice(near, byte, asio::use_future);
    context().restart();
    context().poll();
    near.cancel();
    context().run();
    BOOST_CHECK_EXCEPTION(future.get(), boost::system::system_error,
                          [](const boost::system::system_error& e) {
                              return e.code() == asio::error::operation_aborted;
                          });
}

BOOST_AUTO_TEST_CASE(more_arguments_go_before_and_after_those_of_an_operation) {
    char byte = 0;
    const auto owned = std::make_shared<int>(5);
    const std::weak_ptr<int> watch = owned;
    far.send(asio::buffer("x", 1));
    near.async_receive(
        asio::buffer(&byte, 1),
        asio::consign(
            asio::append(asio::prepend(test::once([&](int before, error_code ec, std::size_t n,
                                                      const std::string& after) {
                                           BOOST_TEST(before == 1);
                                           BOOST_TEST(!ec);
                                           BOOST_TEST(n == 1U);
                                           BOOST_TEST(after == "after");
                                           BOOST_TEST(watch.use_count() == 2);
                                       }),
                                       1),
                         std::string("after")),
            owned));
    context().run();
    BOOST_TEST(byte == 'x');
    BOOST_TEST(watch.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_coroutine_decides_which_cancellations_reach_a_native_operation) {
    using types = asio::cancellation_type;
    const auto ends = [&](auto filter, types type) {
        asio::cancellation_signal signal;
        bool ended = false;
        asio::co_spawn(
            context(),
            [&]() -> asio::awaitable<void> {
                co_await asio::this_coro::reset_cancellation_state(filter);
                co_await asio::this_coro::throw_if_cancelled(false);
                char byte = 0;
                co_await near.async_receive(asio::buffer(&byte, 1),
                                            asio::as_tuple(asio::use_awaitable));
                ended = true;
            },
            asio::bind_cancellation_slot(signal.slot(), asio::detached));
        context().restart();
        context().poll();
        signal.emit(type);
        context().poll();
        const bool by_signal = ended;
        near.cancel();
        context().run();
        BOOST_TEST(ended);
        return by_signal;
    };
    BOOST_TEST(!ends(asio::disable_cancellation(), types::terminal));
    BOOST_TEST(ends(asio::enable_terminal_cancellation(), types::terminal));
    BOOST_TEST(!ends(asio::enable_terminal_cancellation(), types::total));
    BOOST_TEST(ends(asio::enable_partial_cancellation(), types::partial));
    BOOST_TEST(!ends(asio::enable_partial_cancellation(), types::total));
    BOOST_TEST(ends(asio::enable_total_cancellation(), types::total));
}

BOOST_AUTO_TEST_CASE(a_promise_starts_at_once_and_is_waited_for_later) {
    char c = 0;
    auto promise = near.async_receive(asio::buffer(&c, 1), experimental::use_promise);
    far.send(asio::buffer("x", 1));
    context().run();
    BOOST_TEST(promise.completed());
    BOOST_TEST(c == 'x');
    promise(test::once([](error_code ec, std::size_t n) {
        BOOST_TEST(!ec);
        BOOST_TEST(n == 1U);
    }));
    context().restart();
    context().run();
}

BOOST_AUTO_TEST_CASE(a_promise_that_is_dropped_cancels_its_operation) {
    timer far_off(context(), 1h);
    { auto promise = far_off.async_wait(experimental::use_promise); }
    BOOST_TEST(context().run() > 0U);
}

BOOST_AUTO_TEST_CASE(a_group_over_a_range_waits_for_all_or_for_one) {
    std::vector<timer> timers;
    for (int i = 0; i < 5; ++i) {
        timers.emplace_back(context(), std::chrono::milliseconds(5 - i));
    }
    const auto waits = [&] {
        std::vector<decltype(timers[0].async_wait(asio::deferred))> all;
        for (timer& t : timers) {
            all.push_back(t.async_wait(asio::deferred));
        }
        return all;
    };
    experimental::make_parallel_group(waits()).async_wait(
        experimental::wait_for_all(), test::once([](const std::vector<std::size_t>& order,
                                                    const std::vector<error_code>& errors) {
            BOOST_TEST(order == (std::vector<std::size_t>{4, 3, 2, 1, 0}),
                       boost::test_tools::per_element());
            for (const error_code& ec : errors) {
                BOOST_TEST(!ec);
            }
        }));
    context().run();
    for (timer& t : timers) {
        t.expires_after(1h);
    }
    timers[2].expires_after(1ms);
    experimental::make_parallel_group(waits()).async_wait(
        experimental::wait_for_one(), test::once([](const std::vector<std::size_t>& order,
                                                    const std::vector<error_code>& errors) {
            BOOST_TEST(order.front() == 2U);
            BOOST_TEST(!errors[2]);
            BOOST_TEST(errors[0] == asio::error::operation_aborted);
        }));
    context().restart();
    context().run();
}

BOOST_AUTO_TEST_CASE(a_channel_carries_values_between_threads) {
    constexpr int values = 2'000;
    experimental::concurrent_channel<void(error_code, int)> channel(context(), 4);
    long sum = 0;
    std::function<void()> receive = [&] {
        channel.async_receive([&](error_code ec, int n) {
            if (!ec) {
                sum += n;
                receive();
            }
        });
    };
    // The end is sent, too: close() of Boost 1.81 drops what the buffer still holds.
    int next = 0;
    std::function<void()> send = [&] {
        const bool ends = ++next > values;
        const error_code sent = ends ? asio::error::make_error_code(asio::error::eof) : error_code();
        channel.async_send(sent, next, [&, ends](error_code ec) {
            BOOST_TEST_REQUIRE(!ec);
            if (!ends) {
                send();
            }
        });
    };
    receive();
    send();
    test::thread_group(2, [&](int) { context().run(); }).join();
    BOOST_TEST(sum == static_cast<long>(values) * (values + 1) / 2);
}

BOOST_AUTO_TEST_CASE(a_work_guard_keeps_run_until_another_thread_resets_it) {
    auto guard = asio::make_work_guard(context());
    bool ran = false;
    std::thread other([&] {
        std::this_thread::sleep_for(5ms);
        asio::post(context(), [&] { ran = true; });
        guard.reset();
    });
    context().run();
    other.join();
    BOOST_TEST(ran);
    BOOST_TEST(context().stopped());
}

#if BOOST_VERSION >= 108600
BOOST_AUTO_TEST_CASE(an_operation_has_a_limit_in_time) {
    char c = 0;
    near.async_receive(asio::buffer(&c, 1),
                       asio::cancel_after(2ms, test::once([](error_code ec, std::size_t) {
                                              BOOST_TEST(ec == asio::error::operation_aborted);
                                          })));
    timer native_timer(context());
    far.async_receive(
        asio::buffer(&c, 1),
        asio::cancel_after(native_timer, 1h, test::once([](error_code ec, std::size_t n) {
                               BOOST_TEST(!ec);
                               BOOST_TEST(n == 1U);
                           })));
    near.send(asio::buffer("x", 1));
    context().run();
    BOOST_TEST(c == 'x');
}
#endif

BOOST_AUTO_TEST_SUITE_END()
