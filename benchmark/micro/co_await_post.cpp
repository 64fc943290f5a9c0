// One coroutine that posts itself again and again: suspend, queue, resume.
#include "system.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace micro {
namespace {

constexpr std::int64_t batch = 10'000;  // so that the coroutine's own start and end do not count

template <class System>
typename System::awaitable yield_often(typename System::executor executor, std::uint64_t& done) {
    for (std::int64_t i = 0; i < batch; ++i) {
        co_await asio::post(executor, System::use_awaitable);
        ++done;
    }
}

template <class System>
void co_await_post(System, benchmark::State& state) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        asio::co_spawn(executor, yield_often<System>(executor, done), asio::detached);
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered = register_for<systems_alone>(
    "co_await_post", [](auto system, auto& state) { co_await_post(system, state); });

}  // namespace
}  // namespace micro
