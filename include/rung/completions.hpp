#pragma once

#include <memory>
#include <rung/detail/join.hpp>

namespace rung {

namespace detail {

/// The queue behind `completions`, without the types of the operations.
///
/// It lives until the stream is gone and the last of the operations has ended.
class completion_queue {
public:
    completion_queue(const completion_queue&) = delete;
    completion_queue& operator=(const completion_queue&) = delete;

    rung::operation<std::size_t> next();
    /// The stream is gone: nobody asks any more.
    void close() noexcept;

protected:
    completion_queue() = default;
    virtual ~completion_queue() = default;

    void begin(join_watcher* watchers, std::size_t count);

private:
    class request;

    virtual operation_core& core_at(std::size_t i) const noexcept = 0;
    static void told(operation_watcher* w, operation_watcher::event) noexcept;
    void ended(join_watcher& w) noexcept;
    void cancel(request& r) noexcept;
    void remove(request& r) noexcept;
    void release() noexcept;

    join_watcher* watchers_ = nullptr;
    std::size_t count_ = 0;
    std::atomic<std::size_t> references_{0};  // the stream's, one for each operation, one a request
    short_lock lock_;
    // Guarded by lock_.
    intrusive_queue<operation_watcher> ended_;  // whom nobody has asked for yet
    request* first_ = nullptr;                  // who asks, in order
    request* last_ = nullptr;
    std::size_t asked_ = 0;  // requests that got an operation, or wait for one
};

}  // namespace detail

/// A stream of operations in the order in which they end.
///
/// It takes the operations of a range; `next()` tells, by an operation of its own, which of them
/// ended next. So the stream can be polled, awaited or joined like everything else.
/// Thread-safety: distinct objects: safe; shared objects: unsafe; the operations may end on any
/// threads, and what `next()` gives be watched on any. The stream may be destroyed at any time.
///
/// Example:
///
///     rung::completions pages(std::move(downloads));
///     for (std::size_t n = pages.size(); n != 0; --n) {
///         const std::size_t i = co_await pages.next().async_wait(asio::use_awaitable);
///         show(pages[i].get());
///     }
template <class Operation>
class completions {
public:
    /// Takes the operations out of a range. Throws `std::bad_alloc`.
    template <detail::operation_range R>
    explicit completions(R&& range)
        : queue_(new queue(detail::take_operations(std::forward<R>(range)))) {
        queue_->run();
    }
    completions(completions&& other) noexcept = default;
    completions& operator=(completions&& other) noexcept = default;

    /// Completes with the index of the operation that ends next, or has ended and was not reported
    /// yet. Each is reported once; when all have been it fails with `asio::error::eof`. Several may
    /// be asked for at once; they are served in order. `cancel()` of it takes the request back.
    /// One block of recycled memory. Throws `std::bad_alloc`.
    operation<std::size_t> next() { return queue_->next(); }

    /// How many operations there are.
    std::size_t size() const noexcept { return queue_->operations.size(); }
    /// One of the operations, by its place in the range.
    const Operation& operator[](std::size_t i) const noexcept { return queue_->operations[i]; }
    /// The value of one that has ended, moved if nobody else watches it; throws as `get()`.
    typename Operation::value_type take(std::size_t i) {
        return std::move(queue_->operations.mutable_at(i)).get();
    }

private:
    struct queue final : detail::completion_queue {
        explicit queue(std::vector<Operation>&& ops) : operations(std::move(ops)) {}
        void run() { begin(operations.watchers(), operations.size()); }
        detail::operation_core& core_at(std::size_t i) const noexcept override {
            return operations.core_at(i);
        }
        detail::joined_range<Operation> operations;
    };
    struct closer {
        void operator()(queue* q) const noexcept { q->close(); }
    };

    std::unique_ptr<queue, closer> queue_;
};

template <class R>
completions(R&&) -> completions<std::ranges::range_value_t<R>>;

}  // namespace rung
