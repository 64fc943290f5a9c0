// A fork while other threads run the context.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <rung/rung.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "forking_program.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;
using boost::system::error_code;

namespace {

/// Without stock Asio, whose children are deaf where another thread waited in the reactor, and find
/// its locks locked now and then.
using ours = std::tuple<native_program, guest_program>;

/// A context that other threads run.
template <class Program>
struct run_elsewhere : Program {
    explicit run_elsewhere(int count) : Program(-1) {
        for (int i = 0; i < count; ++i) {
            threads.emplace_back([this] { this->context.run(); });
        }
    }
    /// Ends the threads, in the process that has them.
    void end() {
        work.reset();
        this->context.stop();
        for (std::thread& t : threads) {
            t.join();
        }
        threads.clear();
    }

    decltype(asio::make_work_guard(std::declval<Program&>().context)) work =
        asio::make_work_guard(this->context);
    std::vector<std::thread> threads;
};

/// Whether the context still does what a loop does.
template <class Program>
bool is_alive(Program& p) {
    using socket = typename Program::socket;
    std::promise<void> posted;
    std::promise<void> fired;
    std::promise<void> received;
    asio::post(p.context, [&] { posted.set_value(); });
    typename Program::timer timer(p.context, 1ms);
    timer.async_wait([&](error_code ec) {
        if (!ec) {
            fired.set_value();
        }
    });
    socket a(p.context);
    socket b(p.context);
    asio::local::connect_pair(a, b);
    char in = 0;
    a.async_receive(asio::buffer(&in, 1), [&](error_code ec, std::size_t) {
        if (!ec) {
            received.set_value();
        }
    });
    b.send(asio::buffer("x", 1));
    for (std::promise<void>* const one : {&posted, &fired, &received}) {
        if (one->get_future().wait_for(10s) != std::future_status::ready) {
            ::_exit(3);  // the handlers would outlive what they use
        }
    }
    return true;
}

/// Whether the child can run the context on another thread.
template <class Program>
bool runs_in_the_child([[maybe_unused]] Program& p) {
#if defined(RUNG_TSAN)
    return true;  // ThreadSanitizer has no threads in a child of several
#else
    std::thread other([&] { p.context.run(); });
    const bool alive = is_alive(p);
    p.context.stop();
    other.join();
    return alive;
#endif
}

struct fixture : test::time_limit {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(forks_among_threads, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(other_threads_may_run_the_context_meanwhile, Program, ours) {
    for (const int count : {1, 3}) {
        run_elsewhere<Program> p(count);
        using socket = typename Program::socket;
        socket a(p.context);
        socket b(p.context);
        asio::local::connect_pair(a, b);
        char in = 0;
        std::promise<void> received;
        a.async_receive(asio::buffer(&in, 1),
                        [&](error_code, std::size_t) { received.set_value(); });
        BOOST_TEST(is_alive(p));
        for (int i = 0; i < 10; ++i) {
            if (p.fork() == process::child) {
                a.close();  // what the parent's threads had begun
                p.join(process::child, runs_in_the_child(p));
            }
            p.join(process::parent, is_alive(p));
        }
        b.send(asio::buffer("x", 1));
        received.get_future().wait();
        BOOST_TEST(in == 'x');
        p.end();
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_of_several_threads_may_fork_at_once, Program, ours) {
    run_elsewhere<Program> p(3);
    std::atomic<int> right{0};
    std::atomic<int> left{12};
    std::promise<void> done;
    for (int i = 0; i < 12; ++i) {
        asio::post(p.context, [&] {
            p.context.notify_fork(context_base::fork_prepare);
            const pid_t id = ::fork();
            if (id == 0) {
                ::alarm(20);
                p.context.notify_fork(context_base::fork_child);
                ::_exit(7);
            }
            p.context.notify_fork(context_base::fork_parent);
            int status = -1;
            ::waitpid(id, &status, 0);
            right += WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 1 : 0;
            if (--left == 0) {
                done.set_value();
            }
        });
    }
    BOOST_REQUIRE((done.get_future().wait_for(30s) == std::future_status::ready));
    BOOST_TEST(right == 12);
    BOOST_TEST(is_alive(p));
    p.end();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(another_thread_may_be_closing_an_object, Program, ours) {
    run_elsewhere<Program> p(1);
    std::atomic<bool> enough{false};
    std::thread closing([&] {
        while (!enough) {
            typename Program::socket a(p.context);
            typename Program::socket b(p.context);
            asio::local::connect_pair(a, b);
        }
    });
    int refused = 0;
    for (int i = 0; i < 200; ++i) {
        try {
            if (p.fork() == process::child) {
                ::_exit(0);
            }
        } catch (const boost::system::system_error&) {
            ::_exit(1);
        }
        int status = -1;
        BOOST_REQUIRE(::waitpid(p.id, &status, 0) == p.id);
        refused += status != 0 ? 1 : 0;
    }
    enough = true;
    closing.join();
    BOOST_TEST(refused == 0);
    p.end();
}

BOOST_AUTO_TEST_CASE(the_child_of_a_handler_goes_on_alone) {
    // The handler's thread is the only one in the child, and goes on running the context there.
    run_elsewhere<native_program> p(2);
    std::promise<pid_t> forked;
    asio::post(p.context, [&] {
        p.context.notify_fork(context_base::fork_prepare);
        const pid_t id = ::fork();
        if (id != 0) {
            p.context.notify_fork(context_base::fork_parent);
            forked.set_value(id);
            return;
        }
        ::alarm(20);
        p.context.notify_fork(context_base::fork_child);
        auto* const timer = new native_program::timer(p.context, 1ms);
        timer->async_wait([](error_code ec) { ::_exit(ec ? 1 : 7); });
    });
    int status = -1;
    BOOST_TEST(::waitpid(forked.get_future().get(), &status, 0) > 0);
    BOOST_TEST(WIFEXITED(status));
    BOOST_TEST(WEXITSTATUS(status) == 7);
    BOOST_TEST(is_alive(p));
    p.end();
}

BOOST_AUTO_TEST_SUITE_END()
