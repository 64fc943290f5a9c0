// Parent and child of a real fork both go on with the same context.

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <optional>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "forking_program.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;
using namespace test;

namespace {

struct fixture : test::time_limit {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(forks, fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(handlers_and_timers_go_on_in_both_processes, Program, programs) {
    for (const int hint : hints) {
        Program p(hint);
        std::vector<int> ran;
        typename Program::timer timer(p.context, 100ms);
        timer.async_wait([&](error_code ec) { ran.push_back(ec ? -1 : 3); });
        std::optional<process> here;
        asio::post(p.context, [&] {
            ran.push_back(1);
            asio::post(p.context, [&] { ran.push_back(2); });
            here = p.fork();
        });
        p.context.run();
        p.join(*here, ran == std::vector{1, 2, 3});
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(operations_in_flight_go_on_in_both_processes, Program, programs) {
    for (const int hint : hints) {
        Program p(hint);
        using socket = typename Program::socket;
        socket for_parent(p.context);
        socket for_child(p.context);
        socket parents_peer(p.context);
        socket childs_peer(p.context);
        asio::local::connect_pair(for_parent, parents_peer);
        asio::local::connect_pair(for_child, childs_peer);
        char in[2] = {};
        error_code ended[2];
        for_parent.async_receive(asio::buffer(&in[0], 1),
                                 [&](error_code ec, std::size_t) { ended[0] = ec; });
        for_child.async_receive(asio::buffer(&in[1], 1),
                                [&](error_code ec, std::size_t) { ended[1] = ec; });
        p.context.poll();  // both are with the kernel
        const process here = p.fork();
        const bool child = here == process::child;
        if (!child) {
            std::this_thread::sleep_for(50ms);  // what is the child's arrives meanwhile
        }
        (child ? for_parent : for_child).cancel();
        (child ? childs_peer : parents_peer).send(asio::buffer(child ? "c" : "p", 1));
        p.context.run();
        const error_code aborted = asio::error::operation_aborted;
        p.join(here, child ? in[1] == 'c' && !ended[1] && ended[0] == aborted
                           : in[0] == 'p' && !ended[0] && ended[1] == aborted);
    }
}

BOOST_AUTO_TEST_CASE(a_connection_goes_to_the_process_that_still_accepts) {
    for (const int hint : hints) {
        native_program p(hint);
        rung::native<tcp::acceptor> acceptor(p.context, {asio::ip::address_v4::loopback(), 0});
        const auto endpoint = acceptor.local_endpoint();
        error_code ended;
        acceptor.async_accept([&](error_code ec, rung::native<tcp::socket>) { ended = ec; });
        p.context.poll();  // it is with the kernel
        const process here = p.fork();
        rung::native<tcp::socket> client(p.context);
        if (here == process::parent) {
            client.connect(endpoint);
            acceptor.close();
        }
        p.context.run();
        p.join(here, here == process::child ? !ended : ended == asio::error::operation_aborted);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_wake_up_reaches_the_process_it_is_meant_for, Program, programs) {
    Program p(-1);
    const process here = p.fork();
    int posts = 0;
    auto work = asio::make_work_guard(p.context);
    std::thread other([&] {
        for (int i = 0; i < 20; ++i) {
            std::this_thread::sleep_for(1ms);  // the loop sleeps
            asio::post(p.context, [&] { ++posts; });
        }
        work.reset();
    });
    p.context.run();
    other.join();
    p.join(here, posts == 20);
}

BOOST_AUTO_TEST_CASE(a_server_forks_for_each_connection) {
    for (const int hint : hints) {
        rung::io_context context(hint);
        rung::native<tcp::acceptor> acceptor(context, {asio::ip::address_v4::loopback(), 0});
        rung::native<tcp::socket> socket(context);
        const auto endpoint = acceptor.local_endpoint();
        std::string in(4, '\0');
        int accepted = 0;
        bool child = false;
        std::function<void()> accept = [&] {
            acceptor.async_accept([&](error_code ec, rung::native<tcp::socket> s) {
                if (ec) {
                    return;
                }
                context.notify_fork(context_base::fork_prepare);
                child = ::fork() == 0;
                if (!child) {
                    context.notify_fork(context_base::fork_parent);
                    if (++accepted < 3) {
                        accept();
                    }
                    return;
                }
                ::alarm(20);
                context.notify_fork(context_base::fork_child);
                acceptor.close();
                socket = std::move(s);
                asio::async_read(socket, asio::buffer(in), [&](error_code e, std::size_t) {
                    if (!e) {
                        asio::async_write(socket, asio::buffer(in), asio::detached);
                    }
                });
            });
        };
        accept();
        std::vector<std::string> answers;
        std::thread clients;
        asio::post(context, [&] {
            clients = std::thread([&] {
                asio::io_context stock;
                for (int i = 0; i < 3; ++i) {
                    tcp::socket client(stock);
                    client.connect(endpoint);
                    asio::write(client, asio::buffer("ping", 4));
                    std::string answer(4, '\0');
                    asio::read(client, asio::buffer(answer));
                    answers.push_back(answer);
                }
            });
        });
        context.run();
        if (child) {
            ::_exit(0);
        }
        clients.join();
        for (int i = 0; i < 3; ++i) {
            int status = -1;
            BOOST_TEST(::waitpid(-1, &status, 0) > 0);
            BOOST_TEST(status == 0);
        }
        BOOST_TEST(answers == std::vector<std::string>(3, "ping"),
                   boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(lookups_and_signals_work_in_the_child) {
    native_program p(-1);
    rung::native<tcp::resolver> resolver(p.context);
    rung::native<asio::signal_set> signals(p.context, SIGUSR1);
    int number = 0;
    signals.async_wait([&](error_code ec, int n) { number = ec ? -1 : n; });
    p.context.poll();
    const process here = p.fork();
    bool found = false;
    resolver.async_resolve("localhost", "80", [&](error_code ec, const auto& results) {
        found = !ec && !results.empty();
        ::kill(::getpid(), SIGUSR1);
    });
    p.context.run();
    p.join(here, found && number == SIGUSR1);
}

BOOST_AUTO_TEST_CASE(a_child_of_vfork_leaves_the_context_to_its_parent) {
    // It has its parent's memory; Boost.Process tells the context all the same.
    native_program p(-1);
    p.context.notify_fork(context_base::fork_prepare);
    const pid_t id = ::vfork();
    if (id == 0) {
        p.context.notify_fork(context_base::fork_child);
        ::_exit(7);
    }
    p.context.notify_fork(context_base::fork_parent);
    int status = -1;
    BOOST_TEST(::waitpid(id, &status, 0) == id);
    BOOST_TEST(WEXITSTATUS(status) == 7);
    bool ran = false;
    native_program::timer timer(p.context, 1ms);
    timer.async_wait([&](error_code ec) { ran = !ec; });
    p.context.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(what_has_ended_before_the_fork_is_not_done_again) {
    for (const int hint : hints) {
        native_program p(hint);
        native_program::socket a(p.context);
        native_program::socket b(p.context);
        asio::local::connect_pair(a, b);
        std::string bytes(1 << 20, 'x');
        std::size_t sent = 0;
        a.async_send(asio::buffer(bytes), [&](error_code, std::size_t n) { sent = n; });
        const process here = p.fork();
        p.context.run_for(1s);
        p.join(here, sent != 0);
        BOOST_TEST(b.available() == sent);
    }
}

BOOST_AUTO_TEST_CASE(urgent_data_that_was_waited_for_arrives_after_the_fork) {
    native_program p(-1);
    rung::native<tcp::acceptor> acceptor(p.context, {asio::ip::address_v4::loopback(), 0});
    rung::native<tcp::socket> a(p.context);
    a.connect(acceptor.local_endpoint());
    auto b = acceptor.accept();
    char in = 0;
    error_code ended = asio::error::would_block;
    b.async_receive(asio::buffer(&in, 1), b.message_out_of_band,
                    [&](error_code ec, std::size_t) { ended = ec; });
    p.context.poll();
    const process here = p.fork();
    if (here == process::child) {
        ::_exit(0);
    }
    p.context.poll();
    BOOST_TEST(ended == asio::error::would_block);
    a.send(asio::buffer("!", 1), a.message_out_of_band);
    p.context.run();
    BOOST_TEST(!ended);
    BOOST_TEST(in == '!');
    p.join(here, true);
}

BOOST_AUTO_TEST_SUITE_END()
