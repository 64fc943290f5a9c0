#pragma once

#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/version.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <rung/clock.hpp>
#include <rung/detail/guest_thread.hpp>
#include <rung/detail/wrapped_handler.hpp>
#include <rung/executor.hpp>
#include <rung/statistics.hpp>
#include <utility>

namespace rung {

namespace detail {
class ring_backend;
}  // namespace detail

/// What stands behind the ring.
enum class backend {
    io_uring,  ///< the kernel's rings
    epoll,     ///< a user-space interpreter of the same entries
};

/// How an `io_context` is made. Every field has a usable default.
struct io_context_options {
    /// As for `asio::io_context`: how many threads will run the context. With 1 (or one of Asio's
    /// UNSAFE hints) the kernel's work for the loop waits until that enters the kernel. Others may
    /// still post and start operations; a second thread may run the context, too, but then one that
    /// computes holds up what it started. See `statistics::extra_runners`.
    int concurrency_hint = -1;
    /// The backend. Unset: io_uring.
    std::optional<rung::backend> backend{};
    /// Entries of the submission queue, a power of two from 1 to 32,768; the completion queue holds
    /// four times as many.
    ///
    /// Kernels that count rings towards RLIMIT_MEMLOCK (6.14 and later, for processes without
    /// CAP_IPC_LOCK) may refuse so many. Then the context makes do with 32, with which a ring takes
    /// 8 KiB; `statistics::ring_entries` tells how many there are. A full submission queue costs a
    /// system call more, nothing else. The limit counts for all of a user's processes together; with
    /// 1,024 entries a ring takes 136 KiB. So 64 KiB allow 8 contexts, 128 KiB to 1 MiB 16 (of which
    /// none, one, or 7 with 1,024 entries), and 8 MiB 64.
    unsigned ring_entries = 1024;
    /// A waiting lower level runs at least once in so many handlers. At least 3.
    unsigned starvation_limit = 64;
    /// Most operations of `io_priority::low` in the kernel at once. 0: no limit.
    unsigned low_io_in_flight = 0;
    /// How long the loop looks for work before it sleeps. It saves the wake-up of a sleeping
    /// thread, some 5 µs here, and costs that much CPU time; at most one second.
    std::chrono::nanoseconds spin_before_sleep{0};
    /// Most threads that look names up for this context's resolvers, at least 1. They start with the
    /// first lookup that may have to wait, and end with the context.
    unsigned resolver_threads = 4;
    /// Keep `handler_time_ns` and `sleep_time_ns` in the statistics: two clock readings a handler.
    bool measure_time = false;
};

/// An execution context for Boost.Asio over io_uring in which urgent work goes first.
///
/// It stands in for `asio::io_context`: the members of the same names mean the same. Work is what
/// keeps `run()` from returning: queued handlers, operations in flight, waiting timers, and
/// executors with `outstanding_work.tracked`.
///
/// Thread-safety: every member may be called on any thread, but for construction and destruction.
/// Destruction destroys waiting handlers without calling them, once the kernel has let go of their
/// buffers. No thread may be in `run…` or `poll…` then.
/// A program that forks calls `notify_fork` around it, as Asio asks: both processes then go on with
/// what is queued and in flight. Other threads may run the context meanwhile, and do not exist in
/// the child. There `notify_fork(fork_child)` throws `system_error` for want of a ring; until it is
/// called, objects of the context can be cancelled, closed and destroyed, and nothing runs.
/// Errors: the constructors throw `boost::system::system_error` naming cause and cure where the
/// kernel refuses a ring, or the option that cannot be used. Needs Linux 5.19.
///
/// Example:
///
///     rung::io_context ctx;
///     asio::post(asio::require(ctx.get_executor(), rung::priority::high), [] { urgent(); });
///     ctx.run();
class io_context : public boost::asio::execution_context {
public:
    using executor_type = executor;
    using count_type = std::size_t;
    /// The executor with that allocator. Whether it tracks work is no part of our type.
    template <class Allocator, std::uintptr_t>
    using basic_executor_type = decltype(std::declval<const executor&>().require(
        std::declval<boost::asio::execution::allocator_t<Allocator>>()));

    class service;
#if !defined(BOOST_ASIO_NO_EXTENSIONS) && !defined(BOOST_ASIO_NO_TS_EXECUTORS)
    class strand;
#endif
#if RUNG_ASIO_HAS_DEPRECATED
    class work;
#endif

    /// Equivalent to `io_context(io_context_options{})`: any number of threads may run it.
    io_context() : io_context(io_context_options{}) {}
    /// Equivalent to options with that `concurrency_hint`.
    explicit io_context(int concurrency_hint)
        : io_context(io_context_options{.concurrency_hint = concurrency_hint}) {}
    explicit io_context(const io_context_options& options) : io_context(options, hosting) {}
    /// As the others, with memory for services from an allocator. From Boost 1.88 on.
    template <class Allocator>
    requires std::constructible_from<execution_context, std::allocator_arg_t, const Allocator&>
    io_context(std::allocator_arg_t, const Allocator& a, int concurrency_hint = -1)
        : execution_context(std::allocator_arg, a) {
        set_up({.concurrency_hint = concurrency_hint}, hosting);
    }
#if BOOST_VERSION >= 108800
    /// As Asio's of the same form. Of a configuration, `concurrency_hint` in `"scheduler"` is for
    /// the context, too.
    explicit io_context(const service_maker& initial_services)
        : execution_context(initial_services) {
        set_up(configured(), hosting);
    }
    template <class Allocator>
    io_context(std::allocator_arg_t, const Allocator& a, const service_maker& initial_services)
        : execution_context(std::allocator_arg, a, initial_services) {
        set_up(configured(), hosting);
    }
#endif
    ~io_context();

    /// An executor of normal priority. Never throws.
    executor get_executor() noexcept { return {scheduler_.get(), executor::plain_bits}; }

    /// Runs handlers until the context is stopped or out of work; gives their number. An exception
    /// from a handler leaves it, and it may be called again.
    /// Errors: `system_error` with `rung::error::forked` in the child of a fork before
    /// `notify_fork(fork_child)`: it cannot use its parent's ring.
    count_type run();
    /// As `run()`, for at most that long.
    template <class Rep, class Period>
    count_type run_for(const std::chrono::duration<Rep, Period>& rel_time) {
        return run_until(std::chrono::steady_clock::now() + rel_time);
    }
    /// As `run()`, until that time at most.
    template <class Clock, class Duration>
    count_type run_until(const std::chrono::time_point<Clock, Duration>& abs_time) {
        return run_until(abs_time, unlimited);
    }
    /// Runs at most one handler, waiting for it.
    count_type run_one();
    /// As `run_one()`, waiting for at most that long.
    template <class Rep, class Period>
    count_type run_one_for(const std::chrono::duration<Rep, Period>& rel_time) {
        return run_one_until(std::chrono::steady_clock::now() + rel_time);
    }
    /// As `run_one()`, waiting until that time at most.
    template <class Clock, class Duration>
    count_type run_one_until(const std::chrono::time_point<Clock, Duration>& abs_time) {
        return run_until(abs_time, 1);
    }
    /// Runs the handlers that are ready, without waiting.
    count_type poll();
    /// Runs at most one handler that is ready, without waiting.
    count_type poll_one();

    /// Makes every `run…` and `poll…` return as soon as its running handler has ended.
    void stop();
    /// Whether the context was stopped or ran out of work.
    bool stopped() const;
    /// Lets `run…` and `poll…` run again after they stopped.
    void restart();

#if RUNG_ASIO_HAS_DEPRECATED
    // As Asio's of the same names, in those versions that have them: `ec` is always success, because
    // what a handler throws, and what goes wrong with the loop itself, is thrown here, too.
    count_type run(boost::system::error_code& ec) {
        ec.clear();
        return run();
    }
    count_type run_one(boost::system::error_code& ec) {
        ec.clear();
        return run_one();
    }
    count_type poll(boost::system::error_code& ec) {
        ec.clear();
        return poll();
    }
    count_type poll_one(boost::system::error_code& ec) {
        ec.clear();
        return poll_one();
    }
    /// Equivalent to `restart()`.
    void reset() { restart(); }
    /// Equivalent to `asio::dispatch(context, token)`.
    template <class Token>
    auto dispatch(Token&& token) {
        return boost::asio::dispatch(get_executor(), std::forward<Token>(token));
    }
    /// Equivalent to `asio::post(context, token)`.
    template <class Token>
    auto post(Token&& token) {
        return boost::asio::post(get_executor(), std::forward<Token>(token));
    }
#endif
#if !defined(BOOST_ASIO_NO_DEPRECATED)
    /// A handler that calls the one given on the context. `asio::bind_executor` is the newer way.
    template <class Handler>
    detail::wrapped_handler<executor, Handler> wrap(Handler h) {
        return {get_executor(), std::move(h)};
    }
#endif

    /// The backend in use. Never throws.
    rung::backend backend() const noexcept;
    /// A snapshot of the counters. Never throws.
    rung::statistics statistics() const noexcept;

protected:
    /// A context over another backend than the kernel: for tests that script completions.
    io_context(const io_context_options& options, std::unique_ptr<detail::ring_backend> backend);

private:
    // Of the program, because the macros that decide it are.
#if RUNG_ASIO_USES_EPOLL
    static constexpr detail::guest_thread_end hosting = nullptr;
#else
    static constexpr detail::guest_thread_end hosting = &detail::end_guest_thread;
#endif

    io_context(const io_context_options& options, detail::guest_thread_end end);
    void set_up(const io_context_options& options, detail::guest_thread_end end);
    io_context_options configured();

    static constexpr count_type unlimited = std::numeric_limits<count_type>::max();

    template <class Clock, class Duration>
    count_type run_until(const std::chrono::time_point<Clock, Duration>& abs_time,
                         count_type limit) {
        count_type n = 0;
        // Handlers that are ready do not outlast the time, either.
        for (auto now = Clock::now(); now < abs_time && n < limit; now = Clock::now()) {
            // Another clock may be set while we wait, so look at it again now and then.
            std::chrono::nanoseconds step = std::chrono::seconds(1);
            if (abs_time - now < step) {
                step = std::chrono::ceil<std::chrono::nanoseconds>(abs_time - now);
            }
            n += run_before(std::chrono::steady_clock::now() + step, limit - n);
            if (stopped()) {
                break;
            }
        }
        return n;
    }
    count_type run_before(clock::time_point deadline, count_type limit);

    struct scheduler_deleter {
        void operator()(detail::scheduler* s) const noexcept;
    };
    std::unique_ptr<detail::scheduler, scheduler_deleter> scheduler_;
};

}  // namespace rung

// I/O objects over the context are native wherever the context is known.
#include <rung/detail/io_context_members.hpp>
#include <rung/native.hpp>
