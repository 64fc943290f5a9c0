#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <rung/rung.hpp>
#include <tuple>

namespace test {

namespace asio = boost::asio;
using local = asio::local::stream_protocol;
using context_base = asio::execution_context;

enum class process { parent, child };

/// A context, and what may be in flight on it when it forks.
template <class Context, class Socket, class Timer>
struct program {
    using socket = Socket;
    using timer = Timer;

    explicit program(int hint) : context(hint) {}

    /// Forks as Asio wants it done.
    process fork() {
        context.notify_fork(context_base::fork_prepare);
        id = ::fork();
        BOOST_REQUIRE(id != -1);
        if (id == 0) {
            ::alarm(20);
            context.notify_fork(context_base::fork_child);
            return process::child;
        }
        context.notify_fork(context_base::fork_parent);
        return process::parent;
    }
    /// Ends the child with what it found, and checks that in the parent.
    void join(process p, bool as_expected) {
        if (p == process::child) {
            ::_exit(as_expected ? 0 : 1);
        }
        int status = -1;
        BOOST_TEST(::waitpid(id, &status, 0) == id);
        BOOST_TEST(status == 0, "the child ended with " << status);
        BOOST_TEST(as_expected);
    }

    Context context;
    pid_t id = -1;
};
using local_timer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, rung::executor>;
using native_program = program<rung::io_context, rung::native<local::socket>, local_timer>;
using guest_program = program<rung::io_context, local::socket, asio::steady_timer>;
using stock_program = program<asio::io_context, local::socket, asio::steady_timer>;
using programs = std::tuple<stock_program, native_program, guest_program>;
inline constexpr int hints[] = {1, -1};

}  // namespace test
