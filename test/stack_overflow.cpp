// An overflow is reported with the fiber's name before it ends the process.

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdio>
#include <rung/rung.hpp>
#include <string>

#include "time_limit.hpp"

namespace {

struct fixture : test::time_limit {};

[[gnu::noinline]] int endless(volatile int* n) {
    volatile char frame[256];
    frame[0] = static_cast<char>(*n);
    return *n == -1 ? 0 : endless(n) + frame[0];
}

/// What a child process writes to standard error, and how it ends.
template <class Body>
std::string errors_of(Body body, int& status) {
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child != -1);
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::signal(SIGSEGV, SIG_DFL);
        body();
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char part[512];
    for (ssize_t n = 0; (n = ::read(ends[0], part, sizeof part)) > 0;) {
        text.append(part, static_cast<std::size_t>(n));
    }
    ::close(ends[0]);
    ::waitpid(child, &status, 0);
    return text;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(stack_overflow, fixture)

#if !defined(RUNG_ASAN) && !defined(RUNG_TSAN)
BOOST_AUTO_TEST_CASE(names_the_fiber_and_then_dies_by_the_signal) {
    int status = 0;
    const std::string text = errors_of(
        [] {
            rung::report_stack_overflows();
            rung::io_context ctx;
            rung::spawn(ctx, {.name = "deep one"}, [] {
                volatile int n = 0;
                endless(&n);
            });
            ctx.run();
        },
        status);
    BOOST_TEST(text.find("stack overflow in fiber 'deep one'") != std::string::npos);
    BOOST_TEST(text.find("131072") != std::string::npos);
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
}

BOOST_AUTO_TEST_CASE(reports_on_a_thread_that_has_run_fibers_before) {
    int status = 0;
    const std::string text = errors_of(
        [] {
            rung::io_context ctx;
            rung::spawn(ctx, [] {});
            ctx.run();
            ctx.restart();
            rung::report_stack_overflows();
            rung::spawn(ctx, [] {
                volatile int n = 0;
                endless(&n);
            });
            ctx.run();
        },
        status);
    BOOST_TEST(text.find("stack overflow in fiber") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(says_nothing_of_other_faults) {
    int status = 0;
    const std::string text = errors_of(
        [] {
            rung::report_stack_overflows();
            rung::io_context ctx;
            rung::spawn(ctx, [] { ::raise(SIGSEGV); });
            ctx.run();
        },
        status);
    BOOST_TEST(text.empty());
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
}
#else
BOOST_AUTO_TEST_CASE(may_be_asked_for_twice) {
    int status = 1;
    errors_of(
        [] {
            rung::report_stack_overflows();
            rung::report_stack_overflows();
        },
        status);
    BOOST_TEST(status == 0);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
