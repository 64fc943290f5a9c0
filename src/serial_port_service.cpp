#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <rung/detail/serial_port_service.hpp>

namespace rung::detail {

namespace {

using error_code = boost::system::error_code;

error_code note(int result, error_code& ec) {
    ec = {};
    if (result < 0) {
        ec.assign(errno, boost::system::system_category());
    }
    return ec;
}

}  // namespace

error_code serial_port_service::open(implementation_type& port, const std::string& device,
                                     error_code& ec) {
    if (is_open(port)) {
        ec = boost::asio::error::already_open;
        return ec;
    }
    // Without O_NONBLOCK an open would wait for the carrier.
    const int opened = ::open(device.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY);
    if (note(opened, ec)) {
        return ec;
    }
    implementation_type candidate;
    candidate.descriptor = opened;
    termios settings{};
    if (!load(candidate, settings, ec)) {
        ::cfmakeraw(&settings);
        settings.c_iflag |= IGNPAR;
        settings.c_cflag |= CREAD | CLOCAL;
        store(candidate, settings, ec);
    }
    if (ec || adopt(port, opened, descriptor_ops::possible_dup, ec)) {
        ::close(opened);
    }
    return ec;
}

error_code serial_port_service::send_break(implementation_type& port, error_code& ec) {
    return note(::tcsendbreak(port.descriptor, 0), ec);
}

error_code serial_port_service::load(const implementation_type& port, termios& settings,
                                     error_code& ec) {
    return note(::tcgetattr(port.descriptor, &settings), ec);
}

error_code serial_port_service::store(const implementation_type& port, const termios& settings,
                                      error_code& ec) {
    return note(::tcsetattr(port.descriptor, TCSANOW, &settings), ec);
}

}  // namespace rung::detail
