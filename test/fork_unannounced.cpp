// A child of a fork of which nobody told the context: what it inherited ends there as with stock
// Asio, nothing runs, and the parent notices nothing.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <rung/rung.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "busy_links.hpp"
#include "time_limit.hpp"
#include "waiting_objects.hpp"

using namespace std::chrono_literals;
using namespace test;
using context_base = asio::execution_context;

namespace {

/// A context with one operation that waits, in each of the kinds of object.
template <class M, template <class> class Object>
struct scene {
    using context_type = typename M::context;

    explicit scene(int hint)
        : context(new context_type(hint)), object(std::make_shared<Object<M>>(*context)) {
        object->start([this, alive = alive](error_code ec) { ended = ec; });
        context->poll();
        BOOST_TEST((ended == std::nullopt));
    }
    bool handler_lives() const { return alive.use_count() > 1; }

    /// Whether the operation goes on as if nothing had been. For once in each process.
    bool goes_on() {
        // The parent's operation may take what comes first, all of it.
        object->trigger();
        std::this_thread::sleep_for(20ms);
        object->trigger();
        if (std::is_same_v<Object<M>, timing<M>>) {
            object->cancel();
        }
        context->restart();
        context->run_for(10s);
        return ended && (!*ended || *ended == asio::error::operation_aborted);
    }

    std::optional<error_code> ended;
    std::shared_ptr<int> alive = std::make_shared<int>();
    std::unique_ptr<context_type> context;
    std::shared_ptr<Object<M>> object;
};

/// Runs what a child may do, in a child each.
template <class M, template <class> class Object>
void do_everything(int hint) {
    using scene_type = scene<M, Object>;
    using context_type = typename M::context;
    const std::pair<const char*, std::function<bool(scene_type&)>> deeds[] = {
        {"close", [](scene_type& s) { return s.object->close(), !s.ended; }},
        {"cancel",
         [](scene_type& s) {
             const bool timer = std::is_same_v<Object<M>, timing<M>>;
             return s.object->cancel() == (timer ? 1 : 0) && !s.ended;
         }},
        {"destroy the object", [](scene_type& s) { return s.object.reset(), !s.ended; }},
        {"destroy the context after the object",
         [](scene_type& s) {
             s.object.reset();
             s.context.reset();
             return !s.ended && !s.handler_lives();
         }},
        {"cancel twice, start another and destroy both",
         [](scene_type& s) {
             s.object->cancel();
             s.object->start([alive = s.alive](error_code) {});
             s.object->cancel();
             s.object.reset();
             s.context.reset();
             return !s.ended && !s.handler_lives();
         }},
        {"stop, post, dispatch",
         [](scene_type& s) {
             s.context->stop();
             asio::post(*s.context, [&] { s.ended.emplace(); });
             asio::dispatch(*s.context, [&] { s.ended.emplace(); });
             s.context->restart();
             return !s.ended;
         }},
        {"make a context of its own",
         [](scene_type& s) {
             context_type own;
             Object<M> object(own);
             bool ran = false;
             object.start([&](error_code) { ran = true; });
             object.trigger();
             object.cancel();
             own.run();
             return ran && !s.ended;
         }},
        {"tell the context late", [](scene_type& s) {
             s.context->notify_fork(context_base::fork_child);
             return s.goes_on();
         }}};
    for (const auto& [what, deed] : deeds) {
        scene_type s(hint);
        const int status = end_of_child([&] { return deed(s); });
        BOOST_TEST(status == 0, what << ": the child ended with " << status);
        if (std::is_same_v<M, native>) {
            // Stock's child takes descriptors that were assigned off its parent's reactor, too.
            BOOST_TEST(s.goes_on(), what << ": the parent does not go on");
        }
    }
}

/// Forks so many times, one after the other, and has each child do the deed.
template <class Deed>
bool every_child_ends_well(int children, Deed deed) {
    int i = 0;
    while (i < children && end_of_child(deed) == 0) {
        ++i;
    }
    return i == children;
}

struct fixture : test::time_limit {};
constexpr int hints[] = {1, -1};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(forks_nobody_told_of, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_an_accept, M, machines) {
    for (const int hint : hints) {
        do_everything<M, accepting>(hint);
    }
}
BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_a_receive, M, machines) {
    for (const int hint : hints) {
        do_everything<M, receiving>(hint);
    }
}
BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_a_send, M, machines) {
    for (const int hint : hints) {
        do_everything<M, sending>(hint);
    }
}
BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_the_wait_for_a_datagram, M, machines) {
    do_everything<M, datagram>(-1);
}
BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_a_read, M, machines) {
    do_everything<M, reading_pipe>(-1);
}
BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_the_wait_of_a_timer, M, machines) {
    for (const int hint : hints) {
        do_everything<M, timing>(hint);
    }
}

/// As programs are built whose operations own what they work on.
template <class M>
struct session : std::enable_shared_from_this<session<M>> {
    explicit session(typename M::context& c) : object(c) {}
    void start() {
        object.start([self = this->shared_from_this()](error_code) {});
    }
    receiving<M> object;
};

BOOST_AUTO_TEST_CASE_TEMPLATE(the_end_of_the_context_ends_what_only_operations_own, M, machines) {
    auto context = std::make_unique<typename M::context>();
    auto s = std::make_shared<session<M>>(*context);
    const int descriptor = s->object.socket.native_handle();
    s->start();
    context->poll();
    const std::weak_ptr<session<M>> watch = s;
    s.reset();
    const int status = end_of_child([&] {
        context.reset();
        return watch.expired() && ::fcntl(descriptor, F_GETFD) == -1;
    });
    BOOST_TEST(status == 0);
    BOOST_TEST(::fcntl(descriptor, F_GETFD) != -1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_child_ends_the_wait_for_a_signal, M, machines) {
    typename M::context context;
    std::optional<error_code> ended;
    signalled<M> signals(context);
    signals.start([&](error_code ec) { ended = ec; });
    context.poll();
    const int status = end_of_child([&] {
        signals.cancel();
        signals.close();
        return !ended;
    });
    BOOST_TEST(status == 0);
    signals.trigger();
    context.run_for(10s);
    BOOST_REQUIRE((ended != std::nullopt));
    BOOST_TEST(!*ended);
}

BOOST_AUTO_TEST_CASE(lookups_under_way_can_be_cancelled_or_go_on_when_told) {
    for (const bool told : {false, true}) {
        rung::io_context context;
        rung::native<tcp::resolver> resolver(context);
        int ended = 0;
        bool found = false;
        for (int i = 0; i < 20; ++i) {
            resolver.async_resolve("localhost", "80", [&](error_code ec, const auto& results) {
                ++ended;
                found = !ec && !results.empty();
            });
        }
        const int status = end_of_child([&] {
            if (!told) {
                resolver.cancel();
                return ended == 0;
            }
            context.notify_fork(context_base::fork_child);
            context.run();
            return ended == 20 && found;
        });
        BOOST_TEST(status == 0);
        context.run();
        BOOST_TEST(ended == 20);
        BOOST_TEST(found);
    }
}

BOOST_AUTO_TEST_CASE(a_child_that_is_not_told_runs_nothing) {
    rung::io_context context;
    native::of<asio::steady_timer> timer(context, 1h);
    timer.async_wait([](error_code) {});
    int ran = 0;
    bool in_child = false;
    const auto refused = [&](auto call) {
        try {
            call();
        } catch (const boost::system::system_error& e) {
            return e.code() == rung::error::forked;
        }
        return false;
    };
    const auto each_is_refused = [&] {
        asio::post(context, [&] { ++ran; });
        return refused([&] { context.run(); }) && refused([&] { context.run_one(); }) &&
               refused([&] { context.poll(); }) && refused([&] { context.run_for(1h); }) &&
               !context.stopped() && ran == 0;
    };
    BOOST_TEST(end_of_child(each_is_refused) == 0);
    // One that is made by a handler comes back into the loop.
    pid_t id = -1;
    asio::post(context, [&] {
        asio::post(context, [&] { ran += in_child ? 100 : 1; });
        id = ::fork();
        in_child = id == 0;
        if (in_child) {
            ::alarm(5);
        }
    });
    bool threw = false;
    try {
        context.run_for(100ms);
    } catch (const boost::system::system_error& e) {
        threw = e.code() == rung::error::forked;
    }
    if (in_child) {
        const bool right = threw && ran == 0;
        context.notify_fork(context_base::fork_child);
        context.poll();
        ::_exit(right && ran == 100 ? 0 : 1);
    }
    int status = -1;
    BOOST_TEST(::waitpid(id, &status, 0) == id);
    BOOST_TEST(status == 0);
    BOOST_TEST(!threw);
    BOOST_TEST(ran == 1);
}

/// Statics as programs have them, destroyed by exit().
template <class M>
struct statics {
    static typename M::context& context() {
        static typename M::context c;
        return c;
    }
    static accepting<M>& acceptor() {
        static accepting<M> a(context());
        return a;
    }
    static datagram<M>& socket() {
        static datagram<M> s(context());
        return s;
    }
};

BOOST_AUTO_TEST_CASE_TEMPLATE(exit_destroys_statics, M, machines) {
    // In a process of its own, whose statics these are.
    const int status = end_of_child([] {
        using mine = statics<M>;
        mine::acceptor().start([](error_code) {});
        mine::socket().start([](error_code) {});
        mine::context().poll();
        std::cout.flush();  // or the child would write it, too
        const pid_t id = ::fork();
        if (id == 0) {
            ::alarm(5);
            std::exit(7);
        }
        int how = -1;
        ::waitpid(id, &how, 0);
        return WIFEXITED(how) && WEXITSTATUS(how) == 7;
    });
    BOOST_TEST(status == 0);
}

// Stock's children find Asio's locks locked now and then.
using ours = std::tuple<guest, native>;
BOOST_AUTO_TEST_CASE_TEMPLATE(other_threads_keep_nothing_locked, M, ours) {
    typename M::context context;
    auto work = asio::make_work_guard(context);
    typename M::template of<asio::steady_timer> inherited(context, 1h);
    inherited.async_wait([](error_code) {});
    receiving<M> receive(context);
    receive.start([](error_code) {});
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] { context.run(); });
    }
    threads.emplace_back([&] {
        typename M::template of<asio::steady_timer> timer(context);
        while (!over) {
            timer.expires_after(1h);
            timer.async_wait([](error_code) {});
            asio::post(context, [] {});
        }
    });
    BOOST_TEST(every_child_ends_well(100, [&] {
        const bool one = inherited.cancel() == 1;
        receive.cancel();
        receive.close();
        asio::post(context, [] {});
        context.stop();
        return one;
    }));
    over = true;
    work.reset();
    context.stop();
    for (std::thread& t : threads) {
        t.join();
    }
}

BOOST_AUTO_TEST_CASE(a_call_that_another_thread_was_making_ends_with_the_childs_context) {
    auto context = std::make_unique<rung::io_context>();
    {
        busy_links busy(*context, 3);
        BOOST_TEST(every_child_ends_well(200, [&] {
            busy.destroy_sockets();
            context.reset();
            return true;
        }));
    }
}

BOOST_AUTO_TEST_SUITE_END()
