// Another thread posts as fast as it can while the loop runs; the time is that of one post at the
// rate the pair sustains. The backlog is bounded, alike for every system, so that memory stays in
// the cache and a slow loop shows.
#include "system.hpp"
#include "two_cores.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <thread>

namespace micro {
namespace {

constexpr std::int64_t batch = 20'000;  // a thread's creation, 13 us, is below 1 ns of it
constexpr std::int64_t backlog_limit = 4'096;

// The loop thread counts what it has run, the producer looks only when it reaches the limit that
// it knows of.
struct progress {
    alignas(64) std::atomic<std::int64_t> done{0};  // written by the loop thread only
    void count() {
        done.store(done.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
};

template <class Executor>
void produce(const Executor& executor, progress& ran) {
    std::int64_t allowed = backlog_limit;
    for (std::int64_t posted = 0; posted < batch; ++posted) {
        while (posted == allowed) {
            allowed = ran.done.load(std::memory_order_relaxed) + backlog_limit;
            if (posted == allowed)
                std::this_thread::yield();
        }
        asio::post(executor, [&ran] { ran.count(); });
    }
}

template <class System>
void remote_post(System, benchmark::State& state) {
    typename System::context context{System::one_runner};
    const auto executor = context.get_executor();
    const two_cores cores;
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        progress ran;
        auto guard = asio::make_work_guard(executor);
        std::thread producer([&] {
            cores.move_to_second();
            auto own = std::move(guard);
            produce(executor, ran);
        });
        context.run();
        producer.join();
        context.restart();
        done += static_cast<std::uint64_t>(ran.done.load());
    }
    finish(state, done);
    state.SetLabel(wall_time);
}

const bool registered = register_for<systems>(
    "remote_post", [](auto system, auto& state) { remote_post(system, state); });

}  // namespace
}  // namespace micro
