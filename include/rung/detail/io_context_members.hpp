#pragma once

/// The classes inside `rung::io_context`, which Asio's has, too, and new programs need not name.
/// `rung/io_context.hpp` includes this.

#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <rung/detail/context_service.hpp>
#include <rung/detail/wrapped_handler.hpp>
#include <rung/io_context.hpp>
#include <utility>

namespace rung {

/// The base of a program's own services that want the context itself.
///
/// Thread-safety: `get_io_context()` may be called on any thread.
class io_context::service : public boost::asio::execution_context::service {
public:
    /// The context that the service is of. Never throws.
    io_context& get_io_context() { return static_cast<io_context&>(context()); }

protected:
    service(io_context& owner) : execution_context::service(owner) {}
    ~service() override = default;

private:
    /// Destroys what the service holds of the program's handlers. To be overridden where it has any.
#if RUNG_ASIO_HAS_DEPRECATED
    void shutdown() override { shutdown_service(); }
    virtual void shutdown_service() {}  // the older name
#else
    void shutdown() override {}
#endif

    /// Prepares for a fork, and goes on after it. To be overridden where that takes something.
#if RUNG_ASIO_HAS_DEPRECATED
    void notify_fork(fork_event event) override { fork_service(event); }
    virtual void fork_service(fork_event) {}  // the older name
#else
    void notify_fork(fork_event) override {}
#endif
};

#if !defined(BOOST_ASIO_NO_EXTENSIONS) && !defined(BOOST_ASIO_NO_TS_EXECUTORS)
/// Handlers that are given to a strand run one after the other. It is an `asio::strand` of our
/// executor, made with a context, and an executor as that is.
///
/// Thread-safety: distinct objects: safe; shared objects: safe.
class io_context::strand : public boost::asio::strand<executor> {
    using base = boost::asio::strand<executor>;

public:
    explicit strand(io_context& context) : base(context.get_executor()) {}

    io_context& context() const noexcept { return get_inner_executor().context(); }

    using base::dispatch;
    using base::post;
#if RUNG_ASIO_HAS_DEPRECATED
    /// Equivalent to `asio::dispatch(strand, token)`.
    template <class Token>
    auto dispatch(Token&& token) {
        return boost::asio::dispatch(static_cast<base&>(*this), std::forward<Token>(token));
    }
    /// Equivalent to `asio::post(strand, token)`.
    template <class Token>
    auto post(Token&& token) {
        return boost::asio::post(static_cast<base&>(*this), std::forward<Token>(token));
    }
#endif
#if !defined(BOOST_ASIO_NO_DEPRECATED)
    /// A handler that calls the one given on the strand. `asio::bind_executor` is the newer way.
    template <class Handler>
    detail::wrapped_handler<base, Handler> wrap(Handler h) const {
        return {*this, std::move(h)};
    }
#endif
};
#endif

#if RUNG_ASIO_HAS_DEPRECATED
/// Work that keeps `run()` from returning while it lives. `asio::make_work_guard` is the newer way.
///
/// Thread-safety: distinct objects: safe; shared objects: unsafe.
class io_context::work {
public:
    explicit work(io_context& context)
        : executor_(
              context.get_executor().require(boost::asio::execution::outstanding_work.tracked)) {}
    work(const work& other) = default;
    work& operator=(const work&) = delete;

    io_context& get_io_context() { return executor_.context(); }

private:
    executor executor_;
};
#endif

}  // namespace rung
