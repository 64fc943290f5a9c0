#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <rung/operation.hpp>
#include <span>
#include <string_view>
#include <vector>

/// Operations across processes: a server publishes them, clients start and watch them.
///
/// Server and client share one piece of memory a connection, in which each operation has a slot
/// with its arguments, state, progress and result. A side that sleeps does so on a futex in that
/// memory, through its ring (Linux 6.7), or else on the connection's socket, which tells of the
/// other's death in any case. Neither side trusts the other: indices and lengths are checked on a
/// copy before use, nothing that the other does can block a call, and what cannot be right ends the
/// connection.
namespace rung::ipc {

namespace detail {
class server_core;
class client_core;
}  // namespace detail

/// Arguments and results.
using bytes = std::vector<std::byte>;

/// Progress, as it crosses the boundary.
struct progress {
    std::uint64_t done = 0;
    std::uint64_t total = 0;

    friend bool operator==(const progress&, const progress&) = default;
};

/// What clients start: takes the arguments, gives the operation that they watch.
///
/// Called on the server's executor. An exception fails the client's operation. Once the client
/// cancels, or is gone, the operation is asked to cancel. It may outlive server and context.
using service = std::function<operation<bytes, progress>(bytes arguments)>;

/// How a server is made. Every field has a usable default.
struct server_options {
    /// Operations of one client at once, 1 to 1,024. A client that starts more gets an error.
    unsigned slots = 64;
    /// Most bytes of arguments, and of a result: 1 to 16 MiB.
    std::size_t capacity = 4096;
    /// Most clients at once; others find the connection closed. Each costs two descriptors and
    /// `slots * 2 * capacity` bytes of memory once they are touched.
    unsigned max_clients = 256;
    /// Whether processes of other users may connect, root apart.
    bool other_users = false;
};

/// Publishes operations to other processes.
///
/// It serves on the executor given; one that several threads run must be a strand. While it exists
/// the executor has work. Its destruction closes the connections, which abandons the clients'
/// operations, and asks what it publishes to cancel; it may be destroyed on any thread, but not
/// after its context. Errors: the constructor throws `system_error` naming cause and cure. A path
/// that begins with `@` is a name without a file (abstract). Otherwise what a dead server left
/// behind is taken over, under a lock on the directory (which must be readable), and nothing else:
/// `address_in_use`, after half a second, where somebody listens, and where there is another file.
///
/// Example:
///
///     rung::ipc::server server(ctx, "/run/app.ipc", [&](rung::ipc::bytes arguments) {
///         return rung::offload<rung::ipc::progress>(pool, [=](auto& handle) { return
///         work(arguments, handle); });
///     });
class server {
public:
    server(boost::asio::any_io_executor ex, std::string_view path, service s,
           const server_options& options = {});
    template <std::derived_from<boost::asio::execution_context> Context>
    server(Context& ctx, std::string_view path, service s, const server_options& options = {})
        : server(boost::asio::any_io_executor(ctx.get_executor()), path, std::move(s), options) {}
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    /// How many clients are connected. Any thread.
    std::size_t clients() const noexcept;
    /// How often a client was not taken in: one too many, of another user, or for want of memory or
    /// descriptors. Where it is for want of descriptors that no connection can be accepted, that
    /// counts, too, and is tried again after 100 ms. Any thread.
    std::uint64_t refused() const noexcept;

private:
    std::shared_ptr<detail::server_core> core_;
};

/// Starts operations in a server's process.
///
/// What it learns of them it learns on the executor given, which must be run and, if by several
/// threads, be a strand. While connected the executor has work; it must outlive the client. When
/// the server dies or closes, and when the client is destroyed, what is in flight fails with
/// `error::abandoned`; when the server sends what cannot be right, with `error::bad_peer`.
/// Thread-safety: `start`, `connected` and the operations: any thread.
/// Errors: the constructor connects, for which it may block for some seconds if the server does not
/// answer, and throws `system_error`.
///
/// Example:
///
///     rung::ipc::client client(ctx, "/run/app.ipc");
///     auto op = client.start(arguments);
///     auto [ec, result] = co_await op.async_wait(asio::as_tuple(asio::use_awaitable));
class client {
public:
    client(boost::asio::any_io_executor ex, std::string_view path);
    template <std::derived_from<boost::asio::execution_context> Context>
    client(Context& ctx, std::string_view path)
        : client(boost::asio::any_io_executor(ctx.get_executor()), path) {}
    ~client();
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    /// Starts an operation; the arguments are copied. Fails with `no_buffer_space` where every slot
    /// is in use, `message_size` where the arguments exceed the server's capacity, and
    /// `error::abandoned` after the server's end. `cancel()` asks the producer in the server.
    operation<bytes, progress> start(std::span<const std::byte> arguments);

    /// Whether the server is there, as far as is known.
    bool connected() const noexcept;

private:
    std::shared_ptr<detail::client_core> core_;
};

}  // namespace rung::ipc
