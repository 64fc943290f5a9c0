#pragma once

#include <termios.h>

#include <rung/detail/descriptor_service.hpp>
#include <string>

namespace rung::detail {

/// The native implementation behind Asio's serial ports: descriptors with terminal settings.
class serial_port_service : public descriptor_service {
public:
    using descriptor_service::descriptor_service;

    /// Opens a device as a raw 8-bit line that ignores modem signals.
    error_code open(implementation_type& port, const std::string& device, error_code& ec);
    error_code send_break(implementation_type& port, error_code& ec);

    template <class Option>
    error_code set_option(implementation_type& port, const Option& option, error_code& ec) {
        termios settings{};
        if (!load(port, settings, ec) && !option.store(settings, ec)) {
            store(port, settings, ec);
        }
        return ec;
    }
    template <class Option>
    error_code get_option(const implementation_type& port, Option& option, error_code& ec) const {
        termios settings{};
        if (!load(port, settings, ec)) {
            option.load(settings, ec);
        }
        return ec;
    }

private:
    static error_code load(const implementation_type& port, termios& settings, error_code& ec);
    static error_code store(const implementation_type& port, const termios& settings,
                            error_code& ec);
};

}  // namespace rung::detail
