// The systems that are compared. A workload is one template over a system, so that every system
// runs the same source; what differs between them stands here and nowhere else.
#pragma once

#include <benchmark/benchmark.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#if __has_include(<rung/rung.hpp>)
#include <rung/rung.hpp>

#include <rung/detail/nop.hpp>
#define RUNG_BENCHMARK_HAS_RUNG 1
#else
#define RUNG_BENCHMARK_HAS_RUNG 0
#endif

namespace micro {

namespace asio = boost::asio;
using boost::system::error_code;

// Concrete executor types throughout: any_io_executor costs both sides the same and hides the rest.
template <class Context>
struct basic_system {
    using context = Context;
    using executor = typename Context::executor_type;
    using clock = std::chrono::steady_clock;
    using timer = asio::basic_waitable_timer<clock, asio::wait_traits<clock>, executor>;
    using socket = asio::basic_stream_socket<asio::local::stream_protocol, executor>;
    using awaitable = asio::awaitable<void, executor>;
    static constexpr asio::use_awaitable_t<executor> use_awaitable{};
};

// The rival with the same guarantees: one thread runs the context, any may post to it.
struct asio_system : basic_system<asio::io_context> {
    static constexpr const char* name = "asio";
    static constexpr int alone = 1;
    static constexpr int one_runner = 1;
};

// Stock Asio without its locks, where no other thread may even post: fewer guarantees, and the
// least that stock can cost. Shown beside the other.
struct asio_unsafe_system : asio_system {
    static constexpr const char* name = "asio_unsafe";
    static constexpr int alone = BOOST_ASIO_CONCURRENCY_HINT_UNSAFE;
};

#if RUNG_BENCHMARK_HAS_RUNG
struct rung_system : basic_system<rung::io_context> {
    static constexpr const char* name = "rung";
    static constexpr int alone = 1;
    static constexpr int one_runner = 1;

    // Suspends and resumes through a ring NOP; void(error_code).
    template <class Token>
    static auto async_nop(const executor& ex, Token&& token) {
        return rung::detail::async_nop(ex, std::forward<Token>(token));
    }
};
using systems = std::tuple<rung_system, asio_system>;
using systems_alone = std::tuple<rung_system, asio_system, asio_unsafe_system>;
using systems_with_nop = std::tuple<rung_system>;
#else
using systems = std::tuple<asio_system>;
using systems_alone = std::tuple<asio_system, asio_unsafe_system>;
using systems_with_nop = std::tuple<>;
#endif

// Stock I/O objects, as a program has them whose source says any_io_executor: at home on stock Asio,
// guests on ours.
template <class System>
struct stock_objects_on : System {
    using timer = asio::steady_timer;
    using socket = asio::local::stream_protocol::socket;
};
#if RUNG_BENCHMARK_HAS_RUNG
using guest_systems = std::tuple<stock_objects_on<rung_system>, stock_objects_on<asio_system>>;
#else
using guest_systems = std::tuple<stock_objects_on<asio_system>>;
#endif

// Registers `<workload>/<system>` for each system of the list; run(system, state) is the workload.
// setup(benchmark) adds arguments, which come after the system in the name.
template <class Systems, class Run, class Setup>
bool register_for(const std::string& workload, Run run, Setup setup) {
    const auto add = [&](auto system) {
        const auto name = workload + "/" + system.name;
        setup(benchmark::RegisterBenchmark(name.c_str(),
                                           [=](benchmark::State& state) { run(system, state); }));
    };
    std::apply([&](auto... system) { (add(system), ...); }, Systems{});
    return true;
}

template <class Systems, class Run>
bool register_for(const std::string& workload, Run run) {
    return register_for<Systems>(workload, run, [](benchmark::internal::Benchmark*) {});
}

// Every workload counts what it did: a system that drops work must not look fast.
inline void finish(benchmark::State& state, std::uint64_t done) {
    if (done != static_cast<std::uint64_t>(state.iterations()))
        state.SkipWithError("work was lost or repeated");
    state.SetItemsProcessed(state.iterations());
}

// A workload of one thread never sleeps, so its CPU time is its time, whatever else the machine
// does. One of two threads is judged by the clock on the wall; this label says so to the table.
inline constexpr const char* wall_time = "wall time";

}  // namespace micro
