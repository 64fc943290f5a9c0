// What an Asio program can do about priorities by itself, after the example "prioritised handlers"
// in Asio's documentation: executors that put handlers into a priority queue instead of running
// them, and a loop that asks Asio for ready handlers before it takes each one from the queue. It is
// here because a fair rival is one that tries. It is strict: normal work starves low work.

#include "asio_stack.hpp"

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>

namespace bench {

namespace {

class handler_queue {
public:
    void add(level l, std::function<void()> handler) {
        handlers_[static_cast<unsigned>(l)].push_back(std::move(handler));
    }

    /// Runs the oldest handler of the highest level that has one; false if there is none.
    bool run_one() {
        for (auto& waiting : handlers_) {
            if (!waiting.empty()) {
                const std::function<void()> handler = std::move(waiting.front());
                waiting.pop_front();
                handler();
                return true;
            }
        }
        return false;
    }

private:
    std::array<std::deque<std::function<void()>>, 3> handlers_;
};

/// An executor of an io_context that runs nothing itself. Loop thread only.
class queue_executor {
public:
    queue_executor(asio::io_context& context, handler_queue& queue, level l) noexcept
        : context_(&context), queue_(&queue), level_(l) {}

    template <class F>
    void execute(F f) const {
        // Handlers may be movable only, and a std::function wants to copy.
        auto shared = std::make_shared<F>(std::move(f));
        queue_->add(level_, [shared] { (*shared)(); });
    }

    asio::io_context& query(asio::execution::context_t) const noexcept { return *context_; }

    static constexpr asio::execution::blocking_t::never_t query(
        asio::execution::blocking_t) noexcept {
        return {};
    }

    bool operator==(const queue_executor&) const noexcept = default;

private:
    asio::io_context* context_;
    handler_queue* queue_;
    level level_;
};

class queue_stack {
public:
    using executor = queue_executor;

    explicit queue_stack(int concurrency_hint)
        : context_(concurrency_hint), work_(context_.get_executor()) {}

    executor at(level l) noexcept { return {context_, queue_, l}; }

    template <class F>
    void post(level l, F f) {
        queue_.add(l, std::move(f));
    }

    template <class F>
    void post_from_elsewhere(level l, F f) {
        asio::post(context_, [this, l, f] { queue_.add(l, f); });
    }

    void run() {
        while (!context_.stopped()) {
            context_.poll();
            if (!queue_.run_one()) {
                context_.run_one();
            }
        }
    }

    void stop() { context_.stop(); }

private:
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    handler_queue queue_;
};

}  // namespace

void serve_asio_queue_priority(control_link& link, const std::vector<std::string>& args) {
    const auto workload = priority_workload::from_arguments(args);
    queue_stack stack(workload.echo ? BOOST_ASIO_CONCURRENCY_HINT_UNSAFE : 1);
    serve_priority_workload(link, stack, workload);
}

}  // namespace bench
