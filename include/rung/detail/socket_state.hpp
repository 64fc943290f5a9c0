#pragma once

#include <cstdint>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/engine.hpp>

namespace rung::detail {

/// A socket of any protocol.
struct socket_state {
    int descriptor = -1;
    socket_ops::state_type flags = 0;
    io_list operations;
};

/// What a socket service does that does not depend on the protocol or on a handler.
///
/// Members have the names, the arguments and the errors of Asio's own services, whose public
/// classes call them. Thread-safety: as the objects: distinct objects safe, shared ones unsafe.
class socket_service_base {
public:
    using native_handle_type = int;
    using error_code = boost::system::error_code;

    explicit socket_service_base(scheduler& s) noexcept : engine_(&s) {}

    scheduler& engine() const noexcept { return *engine_; }
    io_context& context() const noexcept { return engine::context_of(*engine_); }

    void construct(socket_state&) noexcept {}
    void destroy(socket_state& s) noexcept;
    void take(socket_state& to, const socket_service_base& from_service,
              socket_state& from) noexcept;
    bool is_open(const socket_state& s) const noexcept { return s.descriptor != -1; }
    native_handle_type native_handle(const socket_state& s) const noexcept { return s.descriptor; }
    error_code close(socket_state& s, error_code& ec);
    native_handle_type release(socket_state& s, error_code& ec);
    error_code cancel(socket_state& s, error_code& ec);
    error_code wait(socket_state& s, boost::asio::socket_base::wait_type w, error_code& ec);

    bool at_mark(const socket_state& s, error_code& ec) const {
        return socket_ops::sockatmark(s.descriptor, ec);
    }
    std::size_t available(const socket_state& s, error_code& ec) const {
        return socket_ops::available(s.descriptor, ec);
    }
    error_code listen(socket_state& s, int backlog, error_code& ec) {
        socket_ops::listen(s.descriptor, backlog, ec);
        return ec;
    }
    template <class Command>
    error_code io_control(socket_state& s, Command& command, error_code& ec) {
        socket_ops::ioctl(s.descriptor, s.flags, command.name(),
                          static_cast<ioctl_arg_type*>(command.data()), ec);
        return ec;
    }
    bool non_blocking(const socket_state& s) const noexcept {
        return (s.flags & socket_ops::user_set_non_blocking) != 0;
    }
    error_code non_blocking(socket_state& s, bool mode, error_code& ec) {
        socket_ops::set_user_non_blocking(s.descriptor, s.flags, mode, ec);
        return ec;
    }
    bool native_non_blocking(const socket_state& s) const noexcept {
        return (s.flags & socket_ops::internal_non_blocking) != 0;
    }
    error_code native_non_blocking(socket_state& s, bool mode, error_code& ec) {
        socket_ops::set_internal_non_blocking(s.descriptor, s.flags, mode, ec);
        return ec;
    }
    error_code shutdown(socket_state& s, boost::asio::socket_base::shutdown_type what,
                        error_code& ec) {
        socket_ops::shutdown(s.descriptor, what, ec);
        return ec;
    }

protected:
    error_code open_descriptor(socket_state& s, int family, int type, int protocol,
                               error_code& ec);
    error_code assign_descriptor(socket_state& s, int type, int descriptor, error_code& ec);

    /// Starts an operation that names the socket's descriptor.
    void start(socket_state& s, io_operation* op, cancel_link* link) noexcept;
    /// Starts a receive or send: at once if that is likely to succeed, else through the ring.
    void start_transfer(socket_state& s, io_operation* op, cancel_link* link) noexcept;

private:
    static void adopt(socket_state& s, int type, int descriptor) noexcept;

    scheduler* engine_;
};

}  // namespace rung::detail
