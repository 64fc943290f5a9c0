#pragma once

/// Makes `rung::executor` the default executor of Asio's class templates in this program.
///
/// `asio::ip::tcp::socket`, `acceptor` and `resolver`, `asio::steady_timer` and the other timers,
/// `asio::signal_set`, descriptors, pipes, serial ports, `asio::awaitable`, `asio::use_awaitable` and
/// `asio::yield_context` are then native without an edit. Include it before anything of Asio and of
/// rung, in every file of the program, best by the compiler's option `-include rung/as_default.hpp`
/// or by CMake's `rung_use_as_default(target)`. A file that includes it too late does not compile,
/// and files that disagree do not link. When to use it, and when not: doc/as_default.md.
///
/// Asio offers no hook for this, so its headers are read here with another name where they say
/// `any_io_executor`. Those that mean the type itself are read before.

#if defined(BOOST_ASIO_DETAIL_CONFIG_HPP)
#error "rung/as_default.hpp comes too late: include it before any header of Asio and of rung, \
or compile every file with -include rung/as_default.hpp"
#endif
#define RUNG_AS_DEFAULT 1

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#if __has_include(<boost/asio/any_completion_handler.hpp>)
#include <boost/asio/any_completion_handler.hpp>
#endif

namespace rung {
class executor;
class io_context;
}  // namespace rung

namespace boost::asio {
using rung_default_executor = ::rung::executor;
using rung_default_context = ::rung::io_context;
}  // namespace boost::asio

#define any_io_executor rung_default_executor
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/basic_deadline_timer.hpp>
#include <boost/asio/basic_raw_socket.hpp>
#include <boost/asio/basic_readable_pipe.hpp>
#include <boost/asio/basic_seq_packet_socket.hpp>
#include <boost/asio/basic_serial_port.hpp>
#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/basic_socket.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/basic_writable_pipe.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/posix/basic_descriptor.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#if __has_include(<boost/context/fiber.hpp>)
#include <boost/asio/spawn.hpp>
#endif
#undef any_io_executor

#include <rung/rung.hpp>

// An iostream owns the context of its socket, which must be one that its socket's executor has.
#define io_context rung_default_context
#include <boost/asio/basic_socket_streambuf.hpp>
#undef io_context
