// Producer, clients and watchers on different threads, at the same instant. Made for the
// sanitizers.

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "at_once.hpp"
#include "contexts.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace test;
using rung::make_operation;

namespace {

constexpr int rounds = 2'000;

template <class Before, class After, class... F>
void at_once(Before before, After after, F... f) {
    test::at_once(rounds, before, after, f...);
}

template <class T, class Progress = void>
struct ends {
    rung::operation_source<T, Progress> source;
    rung::operation<T, Progress> op;

    void renew() { std::tie(source, op) = make_operation<T, Progress>(); }
};

BOOST_AUTO_TEST_CASE(an_end_wakes_whoever_waits_for_it) {
    ends<std::string> e;
    std::atomic<int> seen{0};
    const auto waiter = [&] { seen += e.op.get() == "value" ? 1 : 100; };
    at_once([&] { e.renew(); }, [&] {}, [&] { e.source.set_done("value"); }, waiter, waiter,
            [&] { seen += e.op.wait() == state::done ? 1 : 100; });
    BOOST_TEST(seen == 3 * rounds);
}

BOOST_AUTO_TEST_CASE(a_handler_that_comes_with_the_end_is_called_once) {
    ends<int> e;
    std::atomic<int> calls{0};
    const auto watcher = [&] {
        e.op.async_wait([&](error_code ec, int v) { calls += !ec && v == 1 ? 1 : 100; });
    };
    at_once([&] { e.renew(); }, [&] {}, [&] { e.source.set_done(1); }, watcher, watcher);
    BOOST_TEST(calls == 2 * rounds);
}

BOOST_AUTO_TEST_CASE(a_watcher_that_is_dismissed_at_the_end_is_called_once) {
    ends<int> e;
    std::unique_ptr<asio::cancellation_signal> signal;
    std::atomic<int> calls{0};
    std::atomic<int> bad{0};
    // Two threads meet at the watcher; the signal is the second one's alone, as Asio demands.
    at_once(
        [&] {
            e.renew();
            signal = std::make_unique<asio::cancellation_signal>();
        },
        [&] {}, [&] { e.source.set_done(1); },
        [&] {
            rung::io_context ctx(1);
            e.op.async_wait(asio::bind_cancellation_slot(
                signal->slot(), asio::bind_executor(ctx, [&](error_code ec, int v) {
                    ++calls;
                    bad += (!ec && v == 1) || ec == aborted ? 0 : 1;
                })));
            signal->emit(asio::cancellation_type::terminal);
            ctx.run();
        });
    BOOST_TEST(calls == rounds);
    BOOST_TEST(bad == 0);
}

BOOST_AUTO_TEST_CASE(a_request_to_cancel_and_the_end_may_cross) {
    ends<int> e;
    std::unique_ptr<int> guarded;  // lives as long as the source, like what a callback refers to
    std::atomic<int> calls{0};
    at_once([&] { e.renew(); }, [&] {},
            [&] {
                guarded = std::make_unique<int>(1);
                e.source.on_cancel([&] { calls += *guarded; });
                e.source.set_done(1);
                guarded.reset();  // the callback must be over
            },
            [&] { e.op.cancel(); }, [&] { e.op.cancel(); });
    BOOST_TEST(calls <= rounds);
}

BOOST_AUTO_TEST_CASE(a_request_on_an_executor_and_the_end_may_cross) {
    asio::thread_pool pool(2);
    ends<int> e;
    std::unique_ptr<int> guarded;  // as above
    std::atomic<int> calls{0};
    at_once([&] { e.renew(); }, [&] {},
            [&] {
                guarded = std::make_unique<int>(1);
                e.source.on_cancel(asio::bind_executor(pool, [&] { calls += *guarded; }));
                if (calls % 2 == 0) {
                    std::this_thread::yield();
                }
                e.source.set_done(1);
                guarded.reset();  // the callback must be over, or never begin
            },
            [&] { e.op.cancel(); });
    pool.join();
    BOOST_TEST(calls <= rounds);
}

BOOST_AUTO_TEST_CASE(a_function_on_an_executor_may_be_replaced_at_any_time) {
    asio::thread_pool pool(2);
    ends<int> e;
    std::unique_ptr<int> guarded;  // what the first function refers to
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    at_once([&] { e.renew(); }, [&] { e.source = {}; },
            [&] {
                guarded = std::make_unique<int>(1);
                e.source.on_cancel(asio::bind_executor(pool, [&] { first += *guarded; }));
                e.source.on_cancel([&] { ++second; });
                guarded.reset();
            },
            [&] { e.op.cancel(); });
    pool.join();
    BOOST_TEST(first <= rounds);
    BOOST_TEST(second == rounds);
}

BOOST_AUTO_TEST_CASE(a_callback_that_comes_with_the_request_is_called) {
    ends<int> e;
    std::atomic<int> calls{0};
    at_once([&] { e.renew(); }, [&] { e.source = {}; },
            [&] { e.source.on_cancel([&] { ++calls; }); }, [&] { e.op.cancel(); });
    BOOST_TEST(calls == rounds);
}

BOOST_AUTO_TEST_CASE(the_two_ends_may_go_at_the_same_time) {
    ends<std::string, std::string> e;
    at_once([&] { e.renew(); }, [&] {}, [&] { e.source = {}; }, [&] { e.op = {}; });
    at_once([&] { e.renew(); }, [&] {}, [&] { e.source.set_done("x"); }, [&] { e.op = {}; });
}

/// A progress whose parts must agree.
struct large {
    std::uint64_t a = 0, b = 0, c = 0;
    bool sound() const { return b == a * 3 && c == a * 7; }
};

template <class Progress, class Make, class Sound>
void check_progress(Make make, Sound sound) {
    const test::time_limit limit;
    auto [source, op] = make_operation<void, Progress>();
    constexpr int updates = 20'000;
    std::atomic<int> torn{0};
    std::atomic<int> went_back{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
        readers.emplace_back([&op = op, &torn, &went_back, sound] {
            std::uint64_t last = 0;
            while (!op.ready()) {
                const auto [ok, number] = sound(op.progress());
                torn += ok ? 0 : 1;
                went_back += number < last ? 1 : 0;
                last = number;
            }
        });
    }
    for (std::uint64_t i = 1; i <= updates; ++i) {
        source.set_progress(make(i));
    }
    source.set_done();
    for (std::thread& t : readers) {
        t.join();
    }
    BOOST_TEST(torn == 0);
    BOOST_TEST(went_back == 0);
    BOOST_TEST(sound(op.progress()).second == updates);
}

BOOST_AUTO_TEST_CASE(progress_of_one_word_is_whole_and_in_order) {
    check_progress<std::uint64_t>([](std::uint64_t i) { return i; },
                                  [](std::uint64_t i) { return std::pair(true, i); });
}

BOOST_AUTO_TEST_CASE(progress_of_several_words_is_whole_and_in_order) {
    check_progress<large>(
        [](std::uint64_t i) {
            return large{i, i * 3, i * 7};
        },
        [](const large& l) { return std::pair(l.sound(), l.a); });
}

BOOST_AUTO_TEST_CASE(progress_that_owns_memory_is_whole_and_in_order) {
    check_progress<std::string>(
        [](std::uint64_t i) {
            return std::string(40, static_cast<char>('a' + i % 26)) + std::to_string(i);
        },
        [](const std::string& s) {
            if (s.empty()) {
                return std::pair(true, std::uint64_t{0});
            }
            return std::pair(s.find_first_not_of(s[0]) == 40,
                             std::uint64_t{std::stoul(s.substr(40))});
        });
}

BOOST_AUTO_TEST_CASE(who_asks_with_what_it_has_seen_misses_nothing) {
    const test::time_limit limit;
    auto [source, op] = make_operation<void, int>();
    std::atomic<int> last{0};
    std::thread client([&op = op, &last] {
        rung::io_context ctx(1);
        while (!op.ready()) {
            const auto seen = op.changes();
            last = op.progress();
            if (!op.ready()) {
                op.async_next(seen, asio::bind_executor(ctx, [](state) {}));
                ctx.run();
                ctx.restart();
            }
        }
        last = op.progress();
    });
    for (int i = 1; i <= rounds; ++i) {
        source.set_progress(i);
    }
    source.set_done();
    client.join();
    BOOST_TEST(last == rounds);
}

BOOST_AUTO_TEST_CASE(a_function_sees_each_change_in_order_from_another_thread) {
    for (const auto how : {rung::delivery::latest, rung::delivery::each}) {
        const test::time_limit limit;
        rung::io_context ctx;
        auto [source, op] = make_operation<void, int>();
        int calls = 0;
        int last = 0;
        bool ordered = true;
        state end{};
        op.watch(asio::bind_executor(ctx,
                                     [&](state s, int p) {
                                         ++calls;
                                         ordered &= p >= last;
                                         last = p;
                                         end = s;
                                     }),
                 how);
        std::thread producer([s = std::move(source)]() mutable {
            for (int i = 1; i <= rounds; ++i) {
                s.set_progress(i);
            }
            s.set_done();
        });
        std::thread helper([&] { ctx.run(); });
        ctx.run();
        producer.join();
        helper.join();
        BOOST_TEST(ordered);
        BOOST_TEST(last == rounds);
        BOOST_TEST(end == state::done);
        BOOST_TEST((how == rung::delivery::each ? calls == rounds + 1 : calls >= 1));
    }
}

/// An executor of a context, as it is or in a strand.
template <class Context>
asio::any_io_executor executor_of(Context& ctx, int round) {
    if (round % 2 == 0) {
        return asio::make_strand(ctx);
    }
    return ctx.get_executor();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_context_may_go_once_a_slot_has_ended_the_watching, Context,
                              shared_contexts) {
    const test::time_limit limit;
    auto [source, op] = make_operation<void, int>();
    std::atomic<bool> over{false};
    std::thread producer([&over, &source = source] {
        for (int i = 0; !over; ++i) {
            source.set_progress(i);
        }
    });
    constexpr int contexts = 300;
    for (int i = 0; i < contexts; ++i) {
        asio::cancellation_signal signal;
        auto ctx = std::make_unique<Context>();
        op.watch(asio::bind_cancellation_slot(
                     signal.slot(), asio::bind_executor(executor_of(*ctx, i), [](state, int) {})),
                 i % 4 < 2 ? rung::delivery::latest : rung::delivery::each);
        while (ctx->poll() == 0) {
        }
        signal.emit(asio::cancellation_type::terminal);
        ctx.reset();
    }
    over = true;
    producer.join();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_context_may_go_though_the_end_is_being_told, Context,
                              shared_contexts) {
    ends<int> e;
    auto signal = std::make_unique<asio::cancellation_signal>();
    std::unique_ptr<Context> ctx;
    constexpr int contexts = 500;
    int i = 0;
    test::at_once(
        contexts,
        [&] {
            e.renew();
            ctx = std::make_unique<Context>();
            e.op.watch(asio::bind_cancellation_slot(
                signal->slot(), asio::bind_executor(executor_of(*ctx, ++i), [](state) {})));
        },
        [&] { BOOST_TEST(e.op.ready()); }, [&] { e.source.set_done(1); },
        [&] {
            signal->emit(asio::cancellation_type::terminal);
            ctx.reset();
        });
}

BOOST_AUTO_TEST_CASE(changes_are_told_while_watchers_come_and_go) {
    const test::time_limit limit;
    auto [source, op] = make_operation<void, int>();
    std::atomic<int> calls{0};
    std::atomic<int> asked{0};
    std::vector<std::thread> watchers;
    for (int i = 0; i < 2; ++i) {
        watchers.emplace_back([&op = op, &calls, &asked] {
            while (!op.ready()) {
                asio::cancellation_signal signal;
                op.watch(asio::bind_cancellation_slot(signal.slot(), [](state, int) {}));
                op.async_next(op.changes(), [&](state) { ++calls; });
                ++asked;
                signal.emit(asio::cancellation_type::all);
            }
        });
    }
    for (int i = 0; i < rounds; ++i) {
        source.set_progress(i);
    }
    source.set_done();
    for (std::thread& t : watchers) {
        t.join();
    }
    BOOST_TEST(calls == asked);
}

}  // namespace
