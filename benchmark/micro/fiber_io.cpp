// The workloads of nop.cpp and socketpair.cpp in the stackful style.
#include "fiber_system.hpp"
#include "raw_ring.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/connect_pair.hpp>

#include <array>
#include <stdexcept>

namespace micro {
namespace {

constexpr std::int64_t in_flight = 64;
constexpr std::int64_t nops = in_flight * 200;
constexpr std::int64_t round_trips = 500;
constexpr std::size_t message_size = 64;
using message = std::array<char, message_size>;

template <class System>
void nop_fiber(System, benchmark::State& state) {
    typename System::context context{System::alone};
    typename System::stacks stacks;
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(nops)) {
        for (std::int64_t i = 0; i < in_flight; ++i) {
            System::spawn(executor, stacks, [&, executor](const typename System::scope& s) {
                for (std::int64_t n = 0; n < nops / in_flight; ++n) {
                    System::async_nop(executor, System::token(s));
                    ++done;
                }
            });
        }
        context.run();
        context.restart();
    }
    finish(state, done);
}

// A local stream socket never splits so small a message.
void expect_whole(std::size_t size) {
    if (size != message_size)
        throw std::runtime_error("a message was split");
}

template <class System>
void socketpair_fiber(System, benchmark::State& state) {
    typename System::context context{System::alone};
    typename System::stacks stacks;
    const auto executor = context.get_executor();
    typename System::socket near{executor}, far{executor};
    asio::local::connect_pair(near, far);
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(round_trips)) {
        System::spawn(executor, stacks, [&](const typename System::scope& s) {
            message buffer{};
            for (std::int64_t i = 0; i < round_trips; ++i) {
                expect_whole(far.async_read_some(asio::buffer(buffer), System::token(s)));
                expect_whole(far.async_write_some(asio::buffer(buffer), System::token(s)));
            }
        });
        System::spawn(executor, stacks, [&](const typename System::scope& s) {
            message buffer{};
            for (std::int64_t i = 0; i < round_trips; ++i) {
                expect_whole(near.async_write_some(asio::buffer(buffer), System::token(s)));
                expect_whole(near.async_read_some(asio::buffer(buffer), System::token(s)));
                ++done;
            }
        });
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered =
    register_for<fiber_systems_with_nop>(
        "nop_fiber", [](auto system, auto& state) { nop_fiber(system, state); }) &&
    register_for<fiber_systems>("socketpair_fiber", [](auto system, auto& state) {
        socketpair_fiber(system, state);
    });

}  // namespace
}  // namespace micro
