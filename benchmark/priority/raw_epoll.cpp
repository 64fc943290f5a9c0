// A loop as one writes it by hand: sockets are served when epoll names them, then every task that
// is queued runs in turn, then epoll is asked again. First in, first out, no priorities.

#include "../support/raw_epoll_server.hpp"
#include "urgent_handler.hpp"

#include <deque>
#include <functional>
#include <mutex>

namespace bench {

namespace {

/// Never sleeps and so needs no waking: the flood sees to it that there is always a task.
class fifo_loop {
public:
    template <class F>
    void post(level, F f) {
        tasks_.emplace_back(std::move(f));
    }

    template <class F>
    void post_from_elsewhere(level, F f) {
        const std::lock_guard lock(mutex_);
        inbox_.emplace_back(std::move(f));
    }

    void run() {
        while (!stopped_.load(std::memory_order_relaxed)) {
            server_.poll(0);
            take_inbox();
            for (std::size_t left = tasks_.size(); left > 0; --left) {
                const std::function<void()> task = std::move(tasks_.front());
                tasks_.pop_front();
                task();
            }
        }
    }

    void stop() { stopped_.store(true, std::memory_order_relaxed); }

    std::uint16_t port() const noexcept { return server_.port(); }

private:
    void take_inbox() {
        const std::lock_guard lock(mutex_);
        for (std::function<void()>& task : inbox_) {
            tasks_.push_back(std::move(task));
        }
        inbox_.clear();
    }

    raw_epoll_server server_;                  // loop thread only
    std::deque<std::function<void()>> tasks_;  // loop thread only
    std::mutex mutex_;
    std::vector<std::function<void()>> inbox_;  // guarded by mutex_
    std::atomic<bool> stopped_{false};          // any thread; orders nothing else
};

}  // namespace

void serve_raw_epoll_priority(control_link& link, const std::vector<std::string>& args) {
    const auto workload = priority_workload::from_arguments(args);
    fifo_loop loop;
    if (!workload.echo) {
        urgent_handler_run<fifo_loop>(loop, workload).run(link);
        return;
    }
    flood<fifo_loop> load(loop, workload);
    link.ready({loop.port(), loop.port()});
    loop.run();
}

}  // namespace bench
