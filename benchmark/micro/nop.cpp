// Suspend and resume through a ring NOP, 64 operations in flight: what the path into the kernel
// and back costs when the kernel does nothing. Stock Asio has no such operation.
#include "raw_ring.hpp"
#include "system.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace micro {
namespace {

constexpr std::int64_t in_flight = 64;
constexpr std::int64_t batch = in_flight * 200;

template <class System>
struct nop_chain {
    typename System::executor executor;
    std::int64_t* left;  // shared by all chains
    std::uint64_t* done;

    void operator()(error_code error) const {
        *done += !error;
        start();
    }
    void start() const {
        if ((*left)-- > 0)
            System::async_nop(executor, *this);
    }
};

template <class System>
void nop_callback(System, benchmark::State& state) {
    typename System::context context{System::alone};
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        std::int64_t left = batch;
        for (std::int64_t i = 0; i < in_flight; ++i)
            nop_chain<System>{context.get_executor(), &left, &done}.start();
        context.run();
        context.restart();
    }
    finish(state, done);
}

template <class System>
typename System::awaitable nop_often(typename System::executor executor, std::uint64_t& done) {
    for (std::int64_t i = 0; i < batch / in_flight; ++i) {
        co_await System::async_nop(executor, System::use_awaitable);
        ++done;
    }
}

template <class System>
void nop_coroutine(System, benchmark::State& state) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        for (std::int64_t i = 0; i < in_flight; ++i)
            asio::co_spawn(executor, nop_often<System>(executor, done), asio::detached);
        context.run();
        context.restart();
    }
    finish(state, done);
}

// There is nothing to call back or to resume: the floor of both styles.
void nop_raw(benchmark::State& state, unsigned flags) {
    raw_ring ring{in_flight, flags};
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(in_flight)) {
        for (std::int64_t i = 0; i < in_flight; ++i)
            io_uring_prep_nop(ring.entry());
        ring.submit_and_reap(in_flight, [&](const io_uring_cqe& cqe) { done += cqe.res == 0; });
    }
    finish(state, done);
}

const bool registered =
    register_for<systems_with_nop>("nop_callback",
                                   [](auto system, auto& state) { nop_callback(system, state); }) &&
    register_for<systems_with_nop>("nop_coroutine",
                                   [](auto system, auto& state) { nop_coroutine(system, state); });

// `raw` is the better of the two modes; the other one is shown beside it.
bool register_floor(const std::string& workload) {
    return register_raw(workload + "/raw", [](auto& state) { nop_raw(state, coop_flags); }) &&
           register_raw(workload + "/raw/defer", [](auto& state) { nop_raw(state, defer_flags); });
}

const bool registered_floors = register_floor("nop_callback") && register_floor("nop_coroutine");

}  // namespace
}  // namespace micro
