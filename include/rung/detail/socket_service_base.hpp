#pragma once

#include <boost/asio/socket_base.hpp>
#include <rung/detail/io_service.hpp>

namespace rung::detail {

/// What a socket service does that does not depend on the protocol or on a handler.
class socket_service_base : public io_service_base {
public:
    using io_service_base::io_service_base;

    void destroy(io_object_state& s) noexcept;
    error_code close(io_object_state& s, error_code& ec);
    error_code wait(io_object_state& s, boost::asio::socket_base::wait_type w, error_code& ec);

    bool at_mark(const io_object_state& s, error_code& ec) const {
        return socket_ops::sockatmark(s.descriptor, ec);
    }
    std::size_t available(const io_object_state& s, error_code& ec) const {
        return socket_ops::available(s.descriptor, ec);
    }
    error_code listen(io_object_state& s, int backlog, error_code& ec) {
        socket_ops::listen(s.descriptor, backlog, ec);
        return ec;
    }
    template <class Command>
    error_code io_control(io_object_state& s, Command& command, error_code& ec) {
        socket_ops::ioctl(s.descriptor, s.flags, command.name(),
                          static_cast<ioctl_arg_type*>(command.data()), ec);
        return ec;
    }
    bool non_blocking(const io_object_state& s) const noexcept {
        return (s.flags & socket_ops::user_set_non_blocking) != 0;
    }
    error_code non_blocking(io_object_state& s, bool mode, error_code& ec) {
        socket_ops::set_user_non_blocking(s.descriptor, s.flags, mode, ec);
        return ec;
    }
    bool native_non_blocking(const io_object_state& s) const noexcept {
        return (s.flags & socket_ops::internal_non_blocking) != 0;
    }
    error_code native_non_blocking(io_object_state& s, bool mode, error_code& ec) {
        socket_ops::set_internal_non_blocking(s.descriptor, s.flags, mode, ec);
        return ec;
    }
    error_code shutdown(io_object_state& s, boost::asio::socket_base::shutdown_type what,
                        error_code& ec) {
        socket_ops::shutdown(s.descriptor, what, ec);
        return ec;
    }

protected:
    error_code open_descriptor(io_object_state& s, int family, int type, int protocol,
                               error_code& ec);
    /// To be called when an option may have been set: one of them may change how receives wait.
    static void note_option(io_object_state& s, int level, int name) noexcept;
    error_code assign_descriptor(io_object_state& s, int type, int descriptor, error_code& ec);
    static bool is_stream(const io_object_state& s) noexcept {
        return (s.flags & socket_ops::stream_oriented) != 0;
    }
};

}  // namespace rung::detail
