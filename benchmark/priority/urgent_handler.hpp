#pragma once

#include "../support/failure.hpp"
#include "../support/histogram.hpp"
#include "../support/machine.hpp"
#include "flood.hpp"

#include <atomic>
#include <chrono>
#include <sstream>
#include <thread>

namespace bench {

/// Posts urgent handlers from a thread of its own to a loop that is flooded, at a fixed pace that
/// takes no notice of how far behind the loop is, and measures how long each waited to run.
template <class Stack>
class urgent_handler_run {
public:
    urgent_handler_run(Stack& stack, const priority_workload& workload)
        : stack_(stack), workload_(workload), flood_(stack, workload) {}

    void run(control_link& link) {
        const std::uint64_t start_ns = now_ns();
        std::jthread poster([this] { post_all(); });
        stack_.run();
        poster.join();
        const double elapsed_s = static_cast<double>(now_ns() - start_ns) * 1e-9;
        if (ran_.load(std::memory_order_relaxed) != posted_) {
            throw failure("urgent handlers that were posted have not run");
        }
        std::ostringstream line;
        line << "result";
        for (const double fraction : {0.5, 0.99, 0.999}) {
            line << ' ' << latencies_.quantile(fraction);
        }
        line << ' ' << latencies_.max();
        for (const level l : {level::normal, level::low}) {
            line << ' ' << static_cast<double>(flood_.ran(l)) / elapsed_s;
        }
        link.say(line.str());
    }

private:
    void post_all() {
        pin_thread(workload_.load_core);
        const std::uint64_t warm_end_ns = now_ns() + priority_workload::warm_up_ms * ns_per_ms;
        const std::uint64_t end_ns = warm_end_ns + workload_.window_ms * ns_per_ms;
        const std::uint64_t period_ns = workload_.period_us * 1000;
        for (std::uint64_t due_ns = now_ns(); due_ns < end_ns; due_ns += period_ns) {
            sleep_until(due_ns);
            post_one(warm_end_ns);
        }
        // A loop that is behind has its last samples, the longest, still in the queue.
        const std::uint64_t patience_end_ns = now_ns() + patience_ns;
        while (ran_.load(std::memory_order_acquire) != posted_ && now_ns() < patience_end_ns) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        stack_.stop();
    }

    void post_one(std::uint64_t warm_end_ns) {
        ++posted_;
        const std::uint64_t posted_ns = now_ns();
        const bool counts = posted_ns >= warm_end_ns;
        stack_.post_from_elsewhere(level::high, [this, posted_ns, counts] {
            if (counts) {
                latencies_.record(now_ns() - posted_ns);
            }
            // Pairs with the acquire in post_all; nobody else writes it.
            ran_.store(ran_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        });
    }

    static void sleep_until(std::uint64_t due_ns) noexcept {
        const timespec due{static_cast<time_t>(due_ns / 1'000'000'000u),
                           static_cast<long>(due_ns % 1'000'000'000u)};
        ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
    }

    static constexpr std::uint64_t patience_ns = 10'000 * ns_per_ms;

    Stack& stack_;
    const priority_workload& workload_;
    flood<Stack> flood_;      // loop thread only
    histogram latencies_;     // loop thread only
    std::size_t posted_ = 0;  // poster only, until it is joined
    std::atomic<std::size_t> ran_{0};
};

}  // namespace bench
