#pragma once

#include <cerrno>
#include <cstdint>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/engine.hpp>
#include <rung/detail/io_handler.hpp>
#include <rung/detail/io_waits.hpp>
#include <rung/executor.hpp>
#include <utility>

namespace rung::detail {

/// A descriptor that belongs to an I/O object, and what is under way on it.
struct io_object_state {
    int descriptor = -1;
    unsigned char flags = 0;  // of Asio's socket_ops or descriptor_ops
    descriptor_kind kind = descriptor_kind::plain;
    bool kind_known = false;   // it has been asked for
    bool reads_tried = false;  // by a call that promises not to wait, which the descriptor allows
    io_list operations;
};

/// How Asio's handler tracking names an operation.
struct operation_name {
    const char* object;
    const char* function;
};

/// What services of sockets and of other descriptors share: how operations begin and how they end.
///
/// Members have the names, the arguments and the errors of Asio's own services, whose public
/// classes call them. Thread-safety: as the objects: distinct objects safe, shared ones unsafe.
class io_service_base {
public:
    using native_handle_type = int;
    using error_code = boost::system::error_code;

    explicit io_service_base(scheduler& s) noexcept : engine_(&s) {}

    scheduler& engine() const noexcept { return *engine_; }
    io_context& context() const noexcept { return engine::context_of(*engine_); }

    void construct(io_object_state&) noexcept {}
    bool is_open(const io_object_state& s) const noexcept { return s.descriptor != -1; }
    native_handle_type native_handle(const io_object_state& s) const noexcept {
        return s.descriptor;
    }
    native_handle_type release(io_object_state& s, error_code& ec);
    error_code cancel(io_object_state& s, error_code& ec);

protected:
    /// Makes a closed object the owner of a descriptor that the caller was given, if that is one.
    error_code adopt(io_object_state& s, int descriptor, unsigned char flags, error_code& ec);
    /// Moves what `from` has to `to`, which is closed.
    void take(io_object_state& to, const io_service_base& from_service,
              io_object_state& from) noexcept;

    /// Waits for readiness; with a `Core` of its own, in the form of a transfer of nothing.
    template <class Core = wait_core, class WaitType, class Handler, class IoExecutor>
    void begin_wait(io_object_state& s, operation_name name, WaitType w, Handler& handler,
                    const IoExecutor& ex) {
        const std::uint32_t events = wait_events(w);
        if (events == 0) {
            refuse<Core>(s, name, EINVAL, handler, ex, events);
        } else {
            begin<Core>(s, name, handler, ex, events);
        }
    }
    /// Builds the operation of `Core` for `handler` and starts it.
    template <class Core, class Handler, class IoExecutor, class... Args>
    void begin(io_object_state& s, operation_name name, Handler& handler, const IoExecutor& ex,
               Args&&... args) {
        cancel_link* const link = slot_of(handler);
        start(s, make<Core>(s, name, handler, ex, std::forward<Args>(args)...), link);
    }
    /// As `begin` for what sends or receives.
    template <class Core, class Handler, class IoExecutor, class... Args>
    void begin_transfer(io_object_state& s, operation_name name, Handler& handler,
                        const IoExecutor& ex, Args&&... args) {
        cancel_link* const link = slot_of(handler);
        auto* const op = make<Core>(s, name, handler, ex, std::forward<Args>(args)...);
        if (op->trivial()) {
            op->result = 0;
            end_at_once(op, false);
        } else {
            start_transfer(s, op, link);
        }
    }
    /// As `begin` for what connects.
    template <class Core, class Handler, class IoExecutor, class... Args>
    void begin_connect(io_object_state& s, operation_name name, Handler& handler,
                       const IoExecutor& ex, Args&&... args) {
        cancel_link* const link = slot_of(handler);
        start_connect(s, make<Core>(s, name, handler, ex, std::forward<Args>(args)...), link);
    }
    /// As `begin` for what has failed already.
    template <class Core, class Handler, class IoExecutor, class... Args>
    void refuse(io_object_state& s, operation_name name, int error, Handler& handler,
                const IoExecutor& ex, Args&&... args) {
        auto* const op = make<Core>(s, name, handler, ex, std::forward<Args>(args)...);
        op->result = -error;
        end_at_once(op, false);
    }

private:
    template <class Handler>
    cancel_link* slot_of(const Handler& handler) {
        return connect_slot<&engine::cancel>(handler, engine());
    }
    template <class Core, class Handler, class IoExecutor, class... Args>
    auto* make([[maybe_unused]] io_object_state& s, [[maybe_unused]] operation_name name,
               Handler& handler, const IoExecutor& ex, Args&&... args) {
        auto* const op = make_handler_operation<Core>(handler, ex, std::forward<Args>(args)...);
        op->io_level = executor_access::io_level_of(inner_executor(ex));
        BOOST_ASIO_HANDLER_CREATION((context(), *op, name.object, &s, s.descriptor, name.function));
        return op;
    }

    /// Starts an operation that names the object's descriptor.
    void start(io_object_state& s, io_operation* op, cancel_link* link);
    /// Starts a transfer. A send is made at once if it can be; a receive, by the loop.
    void start_transfer(io_object_state& s, io_operation* op, cancel_link* link);
    /// Begins a connection at once.
    void start_connect(io_object_state& s, io_operation* op, cancel_link* link);
    static std::int32_t try_now(io_object_state& s, io_operation& op);
    /// Completes what has its result already: through the run queue, or where its handler wants that.
    void end_at_once(io_operation* op, bool speculated);

    scheduler* engine_;
};

}  // namespace rung::detail
