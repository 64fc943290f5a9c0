// bench_memory: what a session that waits costs in memory. For each system, in a process of its
// own, it starts so many fibers or coroutines, lets each wait for a timer that is far away, and
// reports what the process has more than before: resident bytes and page tables, each.
#include "failure.hpp"
#include "options.hpp"

#include <rung/rung.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#if RUNG_BENCHMARK_HAS_ASIO_SPAWN
#include <boost/asio/spawn.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#endif

namespace bench {
namespace {

namespace asio = boost::asio;
constexpr std::chrono::hours for_ever{24};

template <class Executor>
using timer_on = asio::basic_waitable_timer<std::chrono::steady_clock,
                                            asio::wait_traits<std::chrono::steady_clock>, Executor>;

// Bytes, of /proc/self/status.
struct memory {
    std::size_t resident = 0;
    std::size_t page_tables = 0;
    std::size_t mapped = 0;
};

memory measure() {
    memory m;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        std::istringstream words(line);
        std::string key;
        std::size_t kib = 0;
        words >> key >> kib;
        if (key == "VmRSS:")
            m.resident = kib * 1024;
        else if (key == "VmPTE:")
            m.page_tables = kib * 1024;
        else if (key == "VmSize:")
            m.mapped = kib * 1024;
    }
    return m;
}

// Ends the process: tearing down what waits is not what is measured.
[[noreturn]] void report(const char* name, std::size_t number, const memory& before) {
    const memory after = measure();
    std::printf("%-24s %10zu %12zu %12zu\n", name, (after.resident - before.resident) / number,
                (after.page_tables - before.page_tables) / number,
                (after.mapped - before.mapped) / number);
    std::fflush(stdout);
    std::_Exit(EXIT_SUCCESS);
}

void rung_fibers(std::size_t number) {
    rung::io_context context(1);
    const memory before = measure();
    for (std::size_t i = 0; i < number; ++i)
        rung::spawn(context, [] { rung::this_fiber::sleep_for(for_ever); });
    context.poll();
    report("rung fiber", number, before);
}

// The smallest class: enough for code that calls little.
void rung_small_fibers(std::size_t number) {
    rung::io_context context(1);
    const memory before = measure();
    for (std::size_t i = 0; i < number; ++i)
        rung::spawn(context, {.stack_size = rung::stack_pool::smallest},
                    [] { rung::this_fiber::sleep_for(for_ever); });
    context.poll();
    report("rung fiber, 16 KiB", number, before);
}

template <class Context>
void coroutines(const char* name, std::size_t number) {
    using executor = typename Context::executor_type;
    using timer = timer_on<executor>;
    Context context(1);
    const memory before = measure();
    for (std::size_t i = 0; i < number; ++i)
        asio::co_spawn(
            context.get_executor(),
            [](executor ex) -> asio::awaitable<void, executor> {
                timer t(ex, for_ever);
                co_await t.async_wait(asio::use_awaitable_t<executor>());
            }(context.get_executor()),
            asio::detached);
    context.poll();
    report(name, number, before);
}

#if RUNG_BENCHMARK_HAS_ASIO_SPAWN
void asio_spawn(std::size_t number) {
    asio::io_context context(1);
    boost::context::pooled_fixedsize_stack stacks;
    using yield = asio::basic_yield_context<asio::io_context::executor_type>;
    const memory before = measure();
    for (std::size_t i = 0; i < number; ++i)
        asio::spawn(
            context.get_executor(), std::allocator_arg, stacks,
            [&](yield y) {
                timer_on<asio::io_context::executor_type> t(context.get_executor(), for_ever);
                t.async_wait(y);
            },
            asio::detached);
    context.poll();
    report("asio::spawn, pooled", number, before);
}
#endif

void in_a_process(const std::function<void(std::size_t)>& run, std::size_t number) {
    const pid_t child = ::fork();
    if (child < 0)
        fail_errno("fork");
    if (child == 0) {
        try {
            run(number);
        } catch (const std::exception& e) {
            std::fprintf(stderr, "bench_memory: %s\n", e.what());
        }
        std::_Exit(EXIT_FAILURE);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0)
        throw failure("a system could not be measured");
}

void run(int argc, char** argv) {
    std::size_t number = 100'000;
    option_parser options("bench_memory", "What a waiting fiber or coroutine costs in memory.");
    options.add_value("fibers", "N", "how many wait at once (100000)",
                      [&](const std::string& text) {
                          number = parse_number("fibers", text, 1, 900'000);
                      });
    if (!options.parse(argc, argv))
        return;
    std::printf("%zu that wait for a timer, bytes each\n%-24s %10s %12s %12s\n", number, "",
                "resident", "page tables", "mapped");
    std::fflush(stdout);
    const std::vector<std::function<void(std::size_t)>> systems = {
        rung_fibers,
        rung_small_fibers,
#if RUNG_BENCHMARK_HAS_ASIO_SPAWN
        asio_spawn,
#endif
        [](std::size_t n) { coroutines<rung::io_context>("coroutine on rung", n); },
        [](std::size_t n) { coroutines<asio::io_context>("coroutine on asio", n); },
    };
    for (const auto& system : systems)
        in_a_process(system, number);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) try {
    bench::run(argc, argv);
    return EXIT_SUCCESS;
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench_memory: %s\n", error.what());
    return EXIT_FAILURE;
}
