// A thousand posts, then a run that executes them.
#include "system.hpp"

#include <boost/asio/post.hpp>

namespace micro {
namespace {

constexpr std::int64_t batch = 1'000;

template <class System>
void post_batch(System, benchmark::State& state) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        for (std::int64_t i = 0; i < batch; ++i)
            asio::post(executor, [&done] { ++done; });
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered = register_for<systems_alone>(
    "post_batch", [](auto system, auto& state) { post_batch(system, state); });

}  // namespace
}  // namespace micro
