#pragma once

#include <poll.h>

#include <rung/detail/asio_binding.hpp>
#include <rung/detail/io_operation.hpp>
#include <tuple>

namespace rung::detail {

/// The events of Asio's `wait_type`, of sockets or of descriptors; none for what is not one.
template <class WaitType>
constexpr std::uint32_t wait_events(WaitType w) noexcept {
    switch (w) {
        case WaitType::wait_read:
            return POLLIN;
        case WaitType::wait_write:
            return POLLOUT;
        case WaitType::wait_error:
            return POLLPRI;
        default:
            return 0;
    }
}

/// Waits for readiness. Arguments of its handler: `(error_code)`.
class wait_core : public io_operation {
public:
    wait_core(function_type f, std::uint32_t wanted) noexcept : io_operation(f, level::normal) {
        kind = io_kind::wait;
        by_poll = true;
        events = wanted;
    }
    std::tuple<boost::system::error_code> take_result() const noexcept { return {error()}; }
};

/// Waits for readiness in the form of a transfer of nothing. Arguments: `(error_code, 0)`.
class null_buffers_core : public wait_core {
public:
    using wait_core::wait_core;
    std::tuple<boost::system::error_code, std::size_t> take_result() const noexcept {
        return {error(), 0};
    }
};

}  // namespace rung::detail
