// Many timers are set, all expire, their handlers run. What is timed is the setting and the
// processing; the time until the last one is due passes with the clock stopped.
#include "system.hpp"

#include <random>
#include <thread>
#include <vector>

namespace micro {
namespace {

template <class System>
void timer_expire(System, benchmark::State& state) {
    using namespace std::chrono_literals;
    // Later than the setting takes, so that no timer is set in the past, then a short window in
    // which they are due in an order other than that of setting.
    constexpr auto lead = 100ms;
    constexpr std::chrono::nanoseconds window = 10ms;

    const auto count = static_cast<std::size_t>(state.range(0));
    typename System::context context{System::alone};
    std::uint64_t expired = 0;
    std::minstd_rand random{1};
    std::vector<typename System::timer> timers;
    timers.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
        timers.emplace_back(context.get_executor());

    while (state.KeepRunningBatch(state.range(0))) {
        const auto first = System::clock::now() + lead;
        for (auto& timer : timers) {
            timer.expires_at(first + std::chrono::nanoseconds{random() % window.count()});
            timer.async_wait([&expired](error_code error) { expired += !error; });
        }
        state.PauseTiming();
        std::this_thread::sleep_until(first + window + 1ms);
        state.ResumeTiming();
        context.run();
        context.restart();
    }
    finish(state, expired);
}

const bool registered = register_for<systems_alone>(
    "timer_expire", [](auto system, auto& state) { timer_expire(system, state); },
    [](auto* benchmark) { benchmark->Arg(100'000); });

}  // namespace
}  // namespace micro
