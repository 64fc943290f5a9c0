#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "time_limit.hpp"

/// Calls that are to meet.
namespace test {

/// Where threads wait for each other. (A release store before its notify lets libstdc++'s
/// std::barrier miss a sleeper.)
class barrier {
public:
    explicit barrier(std::size_t threads) : threads_(threads) {}
    void arrive_and_wait() {
        std::unique_lock lock(mutex_);
        const std::size_t phase = phase_;
        if (++arrived_ == threads_) {
            arrived_ = 0;
            ++phase_;
            all_here_.notify_all();
        } else {
            all_here_.wait(lock, [&] { return phase_ != phase; });
        }
    }

private:
    const std::size_t threads_;
    std::mutex mutex_;
    std::condition_variable all_here_;
    std::size_t arrived_ = 0;  // guarded by mutex_
    std::size_t phase_ = 0;    // guarded by mutex_
};

/// Calls the functions at the same time, each on a thread of its own, `rounds` times; `before` and
/// `after` in between.
template <class Before, class After, class... F>
void at_once(int rounds, Before before, After after, F... f) {
    const time_limit limit;
    barrier line(sizeof...(F) + 1);
    const auto repeat = [&line, rounds](auto body) {
        return [&line, rounds, body] {
            for (int i = 0; i < rounds; ++i) {
                line.arrive_and_wait();
                body();
                line.arrive_and_wait();
            }
        };
    };
    std::vector<std::thread> threads;
    (threads.emplace_back(repeat(f)), ...);
    for (int i = 0; i < rounds; ++i) {
        before();
        line.arrive_and_wait();
        line.arrive_and_wait();
        after();
    }
    for (std::thread& t : threads) {
        t.join();
    }
}

}  // namespace test
