#include <netinet/in.h>
#include <sys/socket.h>

#include <rung/detail/socket_service_base.hpp>

namespace rung::detail {

namespace {

unsigned char flags_of(int type) noexcept {
    switch (type) {
        case SOCK_STREAM:
            return socket_ops::stream_oriented;
        case SOCK_DGRAM:
            return socket_ops::datagram_oriented;
        default:
            return 0;
    }
}

}  // namespace

void socket_service_base::destroy(io_object_state& s) noexcept {
    if (!is_open(s)) {
        return;
    }
    engine::detach(engine(), s.operations, engine::departure::if_noticed, s.descriptor);
    error_code ignored;
    socket_ops::close(s.descriptor, s.flags, true, ignored);
}

socket_service_base::error_code socket_service_base::close(io_object_state& s, error_code& ec) {
    ec = {};
    if (is_open(s)) {
        engine::detach(engine(), s.operations, engine::departure::if_noticed, s.descriptor);
        // The descriptor is gone even where close reports an error.
        socket_ops::close(s.descriptor, s.flags, false, ec);
        s.descriptor = -1;
        s.flags = 0;
    }
    return ec;
}

socket_service_base::error_code socket_service_base::wait(io_object_state& s,
                                                          boost::asio::socket_base::wait_type w,
                                                          error_code& ec) {
    switch (w) {
        case boost::asio::socket_base::wait_read:
            socket_ops::poll_read(s.descriptor, s.flags, -1, ec);
            break;
        case boost::asio::socket_base::wait_write:
            socket_ops::poll_write(s.descriptor, s.flags, -1, ec);
            break;
        case boost::asio::socket_base::wait_error:
            socket_ops::poll_error(s.descriptor, s.flags, -1, ec);
            break;
        default:
            ec = boost::asio::error::invalid_argument;
            break;
    }
    return ec;
}

socket_service_base::error_code socket_service_base::open_descriptor(io_object_state& s, int family,
                                                                     int type, int protocol,
                                                                     error_code& ec) {
    if (is_open(s)) {
        ec = boost::asio::error::already_open;
        return ec;
    }
    socket_holder opened(socket_ops::socket(family, type, protocol, ec));
    if (opened.get() != -1 && !adopt(s, opened.get(), flags_of(type), ec)) {
        opened.release();
    }
    return ec;
}

void socket_service_base::note_option(io_object_state& s, int level, int name) noexcept {
    const bool queues_errors =
        (level == SOL_IP && name == IP_RECVERR) || (level == SOL_IPV6 && name == IPV6_RECVERR) ||
        (level == SOL_SOCKET &&
         (name == SO_ZEROCOPY || name == SO_TIMESTAMPING || name == SO_TXTIME));
    if (queues_errors) {
        s.kind = descriptor_kind::queues_errors;
    }
}

socket_service_base::error_code socket_service_base::assign_descriptor(io_object_state& s, int type,
                                                                       int descriptor,
                                                                       error_code& ec) {
    return adopt(s, descriptor, flags_of(type) | socket_ops::possible_dup, ec);
}

}  // namespace rung::detail
