/// The last work is given up by two threads at once: one of them has to end the loop, wherever the
/// other was stopped. A thread is stopped after every instruction of the call in turn.

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <rung/rung.hpp>
#include <thread>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

namespace asio = boost::asio;

namespace {

std::atomic<bool> proceed{false};
std::atomic<bool> stop_stepping{false};
std::atomic<long> steps{0};
long pause_at = 0;

extern "C" void on_step(int, siginfo_t*, void* context) {
    constexpr greg_t trap_flag = 0x100;
    if (stop_stepping) {
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
    } else if (steps++ == pause_at) {
        proceed = true;
        ::usleep(2'000);
    }
}

/// Runs a context whose last two units of work are given up by its own thread and by this one, which
/// pauses within the call. False if `run()` does not return.
bool run_ends() {
    proceed = false;
    stop_stepping = false;
    steps = 0;
    rung::io_context context;
    std::promise<void> mine_held;
    std::promise<void> theirs_held;
    std::promise<void> returned;
    asio::post(context, [&] {
        auto mine = asio::make_work_guard(context);
        mine_held.set_value();
        theirs_held.get_future().wait();
        while (!proceed) {
            std::this_thread::yield();
        }
        mine.reset();
    });
    std::thread loop([&] {
        context.run();
        returned.set_value();
    });
    mine_held.get_future().wait();
    std::thread([&] {
        auto theirs = asio::make_work_guard(context);
        theirs_held.set_value();
        asm volatile("pushfq; orq $0x100,(%%rsp); popfq" ::: "memory", "cc");
        theirs.reset();
        stop_stepping = true;
        asm volatile("nop; nop; nop" ::: "memory");
        proceed = true;
    }).join();
    const bool ended =
        returned.get_future().wait_for(std::chrono::seconds(5)) == std::future_status::ready;
    context.stop();
    loop.join();
    return ended;
}

BOOST_AUTO_TEST_CASE(run_returns_wherever_a_thread_is_preempted_while_it_gives_up_work) {
    constexpr long most_instructions = 2'000;
    struct sigaction action {};
    action.sa_sigaction = on_step;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGTRAP, &action, nullptr);
    bool whole_call = false;
    for (pause_at = 0; pause_at < most_instructions && !whole_call; ++pause_at) {
        BOOST_TEST_CONTEXT("preempted after instruction " << pause_at) {
            BOOST_REQUIRE(run_ends());
        }
        whole_call = steps <= pause_at;
    }
    BOOST_TEST(whole_call);
    BOOST_TEST_MESSAGE("instructions of the call: " << steps);
}

}  // namespace

#else

BOOST_AUTO_TEST_CASE(skipped) {
    BOOST_TEST_MESSAGE("SKIP: stepping needs x86-64, and code without a sanitizer's");
    BOOST_TEST(true);
}

#endif
