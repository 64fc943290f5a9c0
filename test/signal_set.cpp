// Signals of the process as events of its contexts.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <optional>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

template <class Loop>
using signal_set = asio::basic_signal_set<typename Loop::executor_type>;

/// An outcome whose count is the signal's number.
auto number_into(outcome& o) {
    return [&o](error_code ec, int number) { into(o)(ec, static_cast<std::size_t>(number)); };
}

bool is_caught(int number) {
    struct sigaction now {};
    ::sigaction(number, nullptr, &now);
    return now.sa_handler != SIG_DFL;
}

RUNG_RIVAL_CASE(a_wait_ends_with_the_signal_that_comes) {
    signal_set<Loop> set(loop.context(), SIGUSR1, SIGUSR2);
    outcome o;
    set.async_wait(number_into(o));
    loop.poll();
    BOOST_TEST(o == outcome{});
    ::raise(SIGUSR2);
    loop.run();
    BOOST_TEST(o == done(SIGUSR2));
    outcome again;
    set.async_wait(number_into(again));
    ::kill(::getpid(), SIGUSR1);
    loop.run();
    BOOST_TEST(again == done(SIGUSR1));
}

RUNG_RIVAL_CASE(a_signal_that_comes_while_nobody_waits_is_kept) {
    signal_set<Loop> set(loop.context(), SIGUSR1, SIGUSR2);
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    ::raise(SIGUSR1);
    loop.poll();
    std::vector<std::size_t> numbers;
    for (int i = 0; i < 3; ++i) {
        outcome o;
        set.async_wait(number_into(o));
        loop.run();
        BOOST_TEST(o.calls == 1);
        numbers.push_back(o.count);
    }
    std::sort(numbers.begin(), numbers.end());
    BOOST_TEST((numbers == std::vector<std::size_t>{SIGUSR1, SIGUSR1, SIGUSR2}));
    outcome none;
    set.async_wait(number_into(none));
    loop.poll();
    BOOST_TEST(none == outcome{});
    set.cancel();
    loop.run();
    BOOST_TEST(none == failed(error::operation_aborted));
}

RUNG_RIVAL_CASE(one_signal_ends_every_wait_of_every_set_that_has_it) {
    signal_set<Loop> first(loop.context(), SIGUSR1);
    signal_set<Loop> second(loop.context(), SIGUSR1, SIGUSR2);
    signal_set<Loop> other(loop.context(), SIGUSR2);
    outcome o[4];
    first.async_wait(number_into(o[0]));
    first.async_wait(number_into(o[1]));
    second.async_wait(number_into(o[2]));
    other.async_wait(number_into(o[3]));
    loop.poll();
    ::raise(SIGUSR1);
    for (int i = 0; i < 100 && o[2] == outcome{}; ++i) {
        loop.poll();
    }
    for (int i = 0; i < 3; ++i) {
        BOOST_TEST(o[i] == done(SIGUSR1));
    }
    BOOST_TEST(o[3] == outcome{});
    other.cancel();
    loop.run();
    BOOST_TEST(o[3] == failed(error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(only_handlers_of_the_program_are_counted) {
    on_ours([](auto& loop) {
        using Loop = std::decay_t<decltype(loop)>;
        signal_set<Loop> set(loop.context(), SIGUSR1);
        outcome o;
        set.async_wait(number_into(o));
        ::raise(SIGUSR1);
        loop.context().restart();
        BOOST_TEST(loop.context().run() == 1U);
        set.async_wait(number_into(o));
        set.cancel();
        loop.context().restart();
        BOOST_TEST(loop.context().run() == 1U);
        set.async_wait(number_into(o));
        asio::post(loop.context(), [] { ::raise(SIGUSR1); });
        loop.context().restart();
        BOOST_TEST(loop.context().run_one() == 1U);
        BOOST_TEST(loop.context().run_one() == 1U);
        BOOST_TEST(o.calls == 3);
        BOOST_TEST(loop.context().run_one() == 0U);
    });
}

RUNG_RIVAL_CASE(signals_are_added_and_removed) {
    signal_set<Loop> set(loop.context());
    error_code ec;
    BOOST_TEST(set.add(9'999, ec) == error::invalid_argument);
    BOOST_TEST(set.add(-1, ec) == error::invalid_argument);
    BOOST_TEST(set.add(SIGKILL, ec) == error::invalid_argument);
    BOOST_TEST(set.remove(9'999, ec) == error::invalid_argument);
    set.remove(SIGUSR1);
    BOOST_TEST(!is_caught(SIGUSR1));
    set.add(SIGUSR1);
    set.add(SIGUSR1);
    BOOST_TEST(is_caught(SIGUSR1));
    {
        signal_set<Loop> another(loop.context(), SIGUSR1);
        set.remove(SIGUSR1);
        BOOST_TEST(is_caught(SIGUSR1));
    }
    BOOST_TEST(!is_caught(SIGUSR1));
    set.add(SIGUSR1);
    set.add(SIGUSR2);
    outcome o;
    set.async_wait(number_into(o));
    set.clear();
    BOOST_TEST(!is_caught(SIGUSR1));
    BOOST_TEST(!is_caught(SIGUSR2));
    loop.poll();
    BOOST_TEST(o == outcome{});
    set.add(SIGUSR2);
    ::raise(SIGUSR2);
    loop.run();
    BOOST_TEST(o == done(SIGUSR2));
}

BOOST_AUTO_TEST_CASE(what_came_before_a_signal_was_added_is_none_of_the_set_s) {
    on_ours([](auto& loop) {
        using Loop = std::decay_t<decltype(loop)>;
        signal_set<Loop> early(loop.context(), SIGUSR1);
        ::raise(SIGUSR1);
        loop.poll();
        signal_set<Loop> late(loop.context(), SIGUSR1);
        outcome o[2];
        early.async_wait(number_into(o[0]));
        late.async_wait(number_into(o[1]));
        loop.poll();
        loop.poll();
        late.cancel();
        loop.run();
        BOOST_TEST(o[0] == done(SIGUSR1));
        BOOST_TEST(o[1] == failed(error::operation_aborted));
    });
}

RUNG_RIVAL_CASE(a_slot_cancels_one_wait_and_leaves_the_other) {
    signal_set<Loop> set(loop.context(), SIGUSR1);
    asio::cancellation_signal signal;
    outcome cancelled;
    outcome other;
    set.async_wait(asio::bind_cancellation_slot(signal.slot(), number_into(cancelled)));
    set.async_wait(number_into(other));
    loop.poll();
    signal.emit(asio::cancellation_type::partial);
    loop.poll();
    BOOST_TEST(cancelled == failed(error::operation_aborted));
    BOOST_TEST(other == outcome{});
    ::raise(SIGUSR1);
    loop.run();
    BOOST_TEST(other == done(SIGUSR1));
}

RUNG_RIVAL_CASE(a_set_may_be_destroyed_while_it_waits) {
    std::optional<signal_set<Loop>> set(std::in_place, loop.context(), SIGUSR1);
    outcome o;
    set->async_wait(number_into(o));
    loop.poll();
    set.reset();
    BOOST_TEST(!is_caught(SIGUSR1));
    loop.run();
    BOOST_TEST(o == failed(error::operation_aborted));
    set.emplace(loop.context(), SIGUSR1);
    outcome again;
    set->async_wait(number_into(again));
    loop.poll();
    ::raise(SIGUSR1);
    loop.run();
    BOOST_TEST(again == done(SIGUSR1));
}

RUNG_RIVAL_CASE(a_context_may_be_destroyed_while_a_set_waits) {
    auto set = std::make_shared<signal_set<Loop>>(loop.context(), SIGUSR1);
    set->async_wait([set](error_code, int) { BOOST_TEST(false); });
    loop.poll();
    const std::weak_ptr<void> watch = set;
    set.reset();
    loop.destroy();
    BOOST_TEST(watch.expired());
    BOOST_TEST(!is_caught(SIGUSR1));
}

RUNG_RIVAL_CASE(every_context_hears_of_a_signal) {
    typename Loop::context_type elsewhere;
    signal_set<Loop> here(loop.context(), SIGUSR1);
    signal_set<Loop> there(elsewhere, SIGUSR1);
    outcome o[2];
    here.async_wait(number_into(o[0]));
    there.async_wait(number_into(o[1]));
    loop.poll();
    elsewhere.poll();
    ::raise(SIGUSR1);
    loop.run();  // takes the signal for both
    BOOST_TEST(o[0] == done(SIGUSR1));
    BOOST_TEST(o[1] == outcome{});
    elsewhere.restart();
    elsewhere.run();
    BOOST_TEST(o[1] == done(SIGUSR1));
}

RUNG_RIVAL_CASE(many_signals_from_another_thread_all_arrive) {
    signal_set<Loop> set(loop.context(), SIGUSR1);
    constexpr int n = 2'000;
    std::atomic<int> seen{0};
    struct waiter {
        signal_set<Loop>& set;
        std::atomic<int>& seen;
        void operator()(error_code ec, int) {
            if (!ec && ++seen < n) {
                set.async_wait(*this);
            }
        }
    };
    set.async_wait(waiter{set, seen});
    std::thread sender([&] {
        for (int i = 0; i < n; ++i) {
            ::raise(SIGUSR1);  // on this thread, so that the system cannot merge two of them
        }
    });
    loop.run();
    sender.join();
    BOOST_TEST(seen == n);
}

#if __has_include(<boost/asio/signal_set_base.hpp>)
RUNG_RIVAL_CASE(flags_say_how_a_signal_is_caught) {
    using flags = asio::signal_set_base::flags;
    const auto has_restart = [] {
        struct sigaction now {};
        ::sigaction(SIGUSR1, nullptr, &now);
        return (now.sa_flags & SA_RESTART) != 0;
    };
    signal_set<Loop> set(loop.context());
    signal_set<Loop> other(loop.context());
    signal_set<Loop> third(loop.context());
    set.add(SIGUSR1);
    BOOST_TEST(!has_restart());
    other.add(SIGUSR1, flags::restart);
    BOOST_TEST(has_restart());
    error_code ec;
    third.add(SIGUSR1, flags::no_child_stop, ec);
    BOOST_TEST(ec == error::invalid_argument);
    third.add(SIGUSR1, flags::dont_care, ec);
    BOOST_TEST(!ec);
    BOOST_TEST(has_restart());
    outcome o;
    third.async_wait(number_into(o));
    ::raise(SIGUSR1);
    loop.run();
    BOOST_TEST(o == done(SIGUSR1));
}
#endif

BOOST_AUTO_TEST_CASE(a_child_process_does_not_hear_its_parent_s_signals_nor_the_reverse) {
    rung::io_context context;
    asio::basic_signal_set<rung::executor> set(context, SIGUSR1);
    outcome o;
    set.async_wait(number_into(o));
    context.poll();
    const pid_t child = ::fork();
    if (child == 0) {
        ::raise(SIGUSR1);
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    context.poll();
    BOOST_TEST(o == outcome{});
    ::raise(SIGUSR1);
    context.run();
    BOOST_TEST(o == done(SIGUSR1));
}

}  // namespace
