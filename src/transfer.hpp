#pragma once

#include <cstdint>
#include <rung/detail/io_operation.hpp>

/// Operations as calls that do not wait. Each gives a count or a negated errno, EAGAIN where it would
/// have to wait.
namespace rung::detail {

/// A send, receive, read or write. EOPNOTSUPP where that cannot be had from the descriptor in its
/// present mode.
std::int32_t try_transfer(const io_operation& op) noexcept;

/// Whether a receive would find something: gives 0 then. It leaves everything where it is, but for an
/// error of the socket, which is the answer.
std::int32_t look_for_data(const io_operation& op) noexcept;

/// Begins a connection. EINPROGRESS where its outcome has to be waited for, EAGAIN where the backlog
/// of a local acceptor is full. The descriptor keeps its mode.
std::int32_t try_connect(const io_operation& op) noexcept;

/// What `op` comes to now: the transfer, the readiness that it waits for, or the connection.
std::int32_t try_operation(const io_operation& op) noexcept;

}  // namespace rung::detail
