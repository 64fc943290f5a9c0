#pragma once

/// Replaces the context type of a program that others wrote, without a change to the program.
///
/// Everything of Asio and of Beast is included before the name gets its new meaning, so that their
/// headers keep theirs: after that `boost::asio::io_context` is `rung::io_context`.

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/as_single.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#if __has_include(<boost/coroutine/all.hpp>)
#include <boost/asio/spawn.hpp>
#endif
#include <boost/beast.hpp>
#if defined(RUNG_HAS_OPENSSL)
#include <boost/asio/ssl.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket/ssl.hpp>
#endif
#include <rung/rung.hpp>

namespace boost::asio {
using rung_io_context = ::rung::io_context;
}

#define io_context rung_io_context
