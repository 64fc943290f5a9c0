// A round trip to another process: an operation with 16 bytes each way, against the bare wake-ups
// that it could stand on (two futexes; two eventfds; a socket pair). One loop a process, on two
// cores.
#include "system.hpp"
#include "two_cores.hpp"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>

#include <array>
#include <atomic>
#include <csignal>
#include <new>
#include <string>

namespace micro {
namespace {

// A process that runs a function on the second core, until it is killed.
class other_process {
public:
    template <class F>
    explicit other_process(const two_cores& cores, F f) : id_(::fork()) {
        if (id_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            cores.move_to_second();
            f();
            ::_exit(0);
        }
    }
    other_process(const other_process&) = delete;
    other_process& operator=(const other_process&) = delete;
    ~other_process() {
        ::kill(id_, SIGKILL);
        ::waitpid(id_, nullptr, 0);
    }

private:
    pid_t id_;
};

void serve(const std::string& name, int ready) {
    rung::io_context context{1};
    const rung::ipc::server server(context, name, [](rung::ipc::bytes arguments) {
        auto [source, op] = rung::make_operation<rung::ipc::bytes, rung::ipc::progress>();
        source.set_done(std::move(arguments));
        return std::move(op);
    });
    context.poll();
    if (::write(ready, "x", 1) == 1)
        context.run();
}

void operation(benchmark::State& state) {
    const two_cores cores;
    static int uses = 0;
    const std::string name = "@rung-bench-" + std::to_string(::getpid()) + "-" + std::to_string(++uses);
    int ready[2];
    char byte = 0;
    if (::pipe(ready) != 0)
        return state.SkipWithError("no pipe");
    const other_process server(cores, [&] { serve(name, ready[1]); });
    if (::read(ready[0], &byte, 1) != 1)
        return state.SkipWithError("no server");
    rung::io_context context{1};
    rung::ipc::client client(context, name);
    const std::array<std::byte, 16> arguments{};
    std::uint64_t done = 0;
    for (auto _ : state) {
        bool ended = false;
        auto op = client.start(arguments);
        op.async_wait([&](error_code ec, const rung::ipc::bytes& result) {
            ended = true;
            done += !ec && result.size() == arguments.size() ? 1 : 0;
        });
        while (!ended)
            context.run_one();
    }
    finish(state, done);
    state.SetLabel(wall_time);
    ::close(ready[0]);
    ::close(ready[1]);
}

void bare_futex(benchmark::State& state) {
    const two_cores cores;
    struct words {
        alignas(64) std::atomic<std::uint32_t> there{0};
        alignas(64) std::atomic<std::uint32_t> back{0};
    };
    void* const memory =
        ::mmap(nullptr, sizeof(words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return state.SkipWithError("no memory");
    auto& shared = *::new (memory) words;
    const auto tell = [](std::atomic<std::uint32_t>& word, std::uint32_t n) {
        word = n;
        ::syscall(SYS_futex, &word, FUTEX_WAKE, 1);
    };
    const auto await = [](std::atomic<std::uint32_t>& word, std::uint32_t n) {
        while (word != n)
            ::syscall(SYS_futex, &word, FUTEX_WAIT, n - 1, nullptr);
    };
    std::uint32_t n = 0;
    {
        const other_process peer(cores, [&] {
            for (std::uint32_t i = 1;; ++i) {
                await(shared.there, i);
                tell(shared.back, i);
            }
        });
        for (auto _ : state) {
            tell(shared.there, ++n);
            await(shared.back, n);
        }
    }
    finish(state, n);
    state.SetLabel(wall_time);
    ::munmap(memory, sizeof(words));
}

void bare_eventfd(benchmark::State& state) {
    const two_cores cores;
    const int there = ::eventfd(0, 0), back = ::eventfd(0, 0);
    std::uint64_t count = 0, done = 0;
    const std::uint64_t one = 1;
    {
        const other_process peer(cores, [&] {
            while (::read(there, &count, sizeof count) == sizeof count &&
                   ::write(back, &one, sizeof one) == sizeof one) {
            }
        });
        for (auto _ : state)
            done += ::write(there, &one, sizeof one) == sizeof one &&
                    ::read(back, &count, sizeof count) == sizeof count;
    }
    finish(state, done);
    state.SetLabel(wall_time);
    ::close(there);
    ::close(back);
}

void bare_socketpair(benchmark::State& state) {
    const two_cores cores;
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return state.SkipWithError("no socket pair");
    std::array<char, 16> data{};
    std::uint64_t done = 0;
    {
        const other_process peer(cores, [&] {
            ssize_t n = 0;
            while ((n = ::read(ends[1], data.data(), data.size())) > 0 &&
                   ::write(ends[1], data.data(), static_cast<std::size_t>(n)) == n) {
            }
        });
        for (auto _ : state)
            done += ::write(ends[0], data.data(), data.size()) == 16 &&
                    ::read(ends[0], data.data(), data.size()) == 16;
    }
    finish(state, done);
    state.SetLabel(wall_time);
    ::close(ends[0]);
    ::close(ends[1]);
}

const bool registered =
    benchmark::RegisterBenchmark("operation_ipc/rung", operation) != nullptr &&
    benchmark::RegisterBenchmark("operation_ipc/raw", bare_futex) != nullptr &&
    benchmark::RegisterBenchmark("operation_ipc/eventfd", bare_eventfd) != nullptr &&
    benchmark::RegisterBenchmark("operation_ipc/socketpair", bare_socketpair) != nullptr;

}  // namespace
}  // namespace micro
