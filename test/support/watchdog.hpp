#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace test {

/// Bounds a wait: calls a function if it still lives after the limit, and ends the process if that
/// does not help, so that no test hangs.
class watchdog {
public:
    static constexpr std::chrono::seconds limit{25};
    static constexpr std::chrono::seconds grace{10};

    explicit watchdog(std::function<void()> on_expiry)
        : on_expiry_(std::move(on_expiry)), thread_([this] { watch(); }) {}
    ~watchdog() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;

    bool expired() const noexcept { return expired_; }

private:
    void watch() {
        std::unique_lock lock(mutex_);
        const auto begin = std::chrono::steady_clock::now();
        if (changed_.wait_until(lock, begin + limit, [this] { return over_; })) {
            return;
        }
        expired_ = true;
        lock.unlock();
        on_expiry_();
        lock.lock();
        if (!changed_.wait_until(lock, begin + limit + grace, [this] { return over_; })) {
            std::fputs("The test hangs.\n", stderr);
            std::abort();
        }
    }

    std::function<void()> on_expiry_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;  // guarded by mutex_
    std::atomic<bool> expired_{false};
    std::thread thread_;
};

}  // namespace test
