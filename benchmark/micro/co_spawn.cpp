// A handler starts an empty coroutine, detached, and goes on; the coroutine runs to its end. One at
// a time, as a server starts a session for each connection. The handler's own post is part of it.
#include "system.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace micro {
namespace {

constexpr std::int64_t batch = 1'000;

template <class System>
typename System::awaitable empty(std::uint64_t& done) {
    ++done;
    co_return;
}

template <class System>
struct spawner {
    typename System::executor executor;
    std::int64_t* left;
    std::uint64_t* done;

    void operator()() const {
        asio::co_spawn(executor, empty<System>(*done), asio::detached);
        if (--*left > 0)
            asio::post(executor, *this);
    }
};

template <class System>
void co_spawn(System, benchmark::State& state) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        std::int64_t left = batch;
        asio::post(executor, spawner<System>{executor, &left, &done});
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered = register_for<systems_alone>(
    "co_spawn", [](auto system, auto& state) { co_spawn(system, state); });

}  // namespace
}  // namespace micro
