// Many armed timers; each item moves one of them, picked at random, to a new time: the wait that
// stood is cancelled, its handler runs, and a new wait is set. That is what idle timeouts do.
#include "system.hpp"

#include <random>
#include <vector>

namespace micro {
namespace {

constexpr std::int64_t batch = 100;  // moves between two looks at the loop

template <class System>
void timer_cancel(System, benchmark::State& state) {
    using namespace std::chrono_literals;
    const auto armed = static_cast<std::size_t>(state.range(0));
    typename System::context context{System::alone};
    std::uint64_t aborted = 0;
    std::minstd_rand random{1};

    // Far enough away that none expires during a run, and not in the order in which they are set.
    const auto set = [&](typename System::timer& timer) {
        timer.expires_after(10min + std::chrono::microseconds{random() % 600'000'000});
        timer.async_wait(
            [&aborted](error_code error) { aborted += error == asio::error::operation_aborted; });
    };
    std::vector<typename System::timer> timers;
    timers.reserve(armed);
    for (std::size_t i = 0; i < armed; ++i)
        set(timers.emplace_back(context.get_executor()));

    while (state.KeepRunningBatch(batch)) {
        for (std::int64_t i = 0; i < batch; ++i)
            set(timers[random() % armed]);
        context.poll();
    }
    finish(state, aborted);
}

const bool registered = register_for<systems_alone>(
    "timer_cancel", [](auto system, auto& state) { timer_cancel(system, state); },
    [](auto* benchmark) { benchmark->Arg(1'000)->Arg(100'000); });

const bool registered_guests = register_for<guest_systems>(
    "guest_timer", [](auto system, auto& state) { timer_cancel(system, state); },
    [](auto* benchmark) { benchmark->Arg(1'000); });

}  // namespace
}  // namespace micro
