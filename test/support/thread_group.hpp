#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace test {

/// Threads that end before the test does.
class thread_group {
public:
    thread_group() = default;
    thread_group(int n, const std::function<void(int)>& f) { start(n, f); }
    ~thread_group() { join(); }
    thread_group(const thread_group&) = delete;
    thread_group& operator=(const thread_group&) = delete;

    void start(int n, const std::function<void(int)>& f) {
        for (int i = 0; i < n; ++i) {
            threads_.emplace_back(f, i);
        }
    }
    void join() {
        for (std::thread& t : threads_) {
            t.join();
        }
        threads_.clear();
    }

private:
    std::vector<std::thread> threads_;
};

}  // namespace test
