#pragma once

#include <rung/detail/descriptor_service.hpp>
#include <rung/detail/resolver_service.hpp>
#include <rung/detail/serial_port_service.hpp>
#include <rung/detail/signal_set_service.hpp>
#include <rung/detail/socket_service.hpp>
#include <rung/detail/timer_service.hpp>
#include <rung/executor.hpp>

namespace rung {

/// A stock Asio I/O object type whose executor is `rung::executor`, and which is therefore native:
/// its operations go through the context's own ring and timers.
///
/// Example: `rung::native<asio::ip::tcp::socket> socket(ctx);`
template <class IoObject>
using native = typename IoObject::template rebind_executor<executor>::other;

}  // namespace rung
