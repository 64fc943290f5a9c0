#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <memory>
#include <rung/rung.hpp>

#include "ipc_memory.hpp"

namespace rung::ipc::detail {

/// What a link reports to, on the executor, one call at a time.
class link_user {
public:
    /// The peer has rung. Returns when there is nothing left to do and the reader is marked asleep.
    virtual void rung_for() = 0;
    /// The peer is gone, or the link failed.
    virtual void gone() noexcept = 0;

protected:
    ~link_user() = default;
};

/// A connection's descriptors: the eventfd by which the peer rings, that by which it is rung, and
/// the socket whose end is the peer's.
class link {
public:
    virtual ~link() = default;
    /// Begins to listen, with the first look at the memory. It does not keep its user, who keeps
    /// it.
    virtual void start(std::shared_ptr<link_user> user) = 0;
    /// Ends the link. Any thread.
    virtual void close() noexcept = 0;
    /// Wakes the peer. Any thread.
    void ring() const noexcept;

protected:
    explicit link(unique_fd peer_wakes) noexcept : wakes_peer_(std::move(peer_wakes)) {}

private:
    unique_fd wakes_peer_;
};

/// A link over descriptors of the executor's own kind: native ones on a `rung::executor`.
template <class Executor>
class link_on final : public link, public std::enable_shared_from_this<link_on<Executor>> {
    using socket = boost::asio::basic_stream_socket<boost::asio::local::stream_protocol, Executor>;
    using descriptor = boost::asio::posix::basic_stream_descriptor<Executor>;

public:
    link_on(const Executor& ex, unique_fd connection, unique_fd wakes_us, unique_fd wakes_peer)
        : link(std::move(wakes_peer)),
          socket_(ex, boost::asio::local::stream_protocol(), connection.release()),
          wake_(ex, wakes_us.release()) {}

    void start(std::shared_ptr<link_user> user) override {
        boost::asio::dispatch(socket_.get_executor(),
                              [self = this->shared_from_this(), user = std::move(user)] {
                                  if (self->closed_) {
                                      return user->gone();
                                  }
                                  self->user_ = user;
                                  self->await_end();
                                  self->await_ring();
                                  user->rung_for();
                              });
    }
    void close() noexcept override {
        try {
            boost::asio::dispatch(socket_.get_executor(),
                                  [self = this->shared_from_this()] { self->end(); });
        } catch (const std::bad_alloc&) {
            // The descriptors go with the object.
        }
    }

private:
    void await_ring() {
        wake_.async_read_some(boost::asio::buffer(&count_, sizeof count_),
                              [self = this->shared_from_this()](auto ec, std::size_t) {
                                  if (ec) {
                                      return self->end();
                                  }
                                  if (const auto user = self->user_.lock()) {
                                      user->rung_for();
                                  }
                                  if (!self->closed_) {
                                      self->await_ring();
                                  }
                              });
    }
    /// Nothing is ever sent on the socket once it is set up: what is readable is the end, or wrong.
    void await_end() {
        socket_.async_read_some(
            boost::asio::buffer(&byte_, 1),
            [self = this->shared_from_this()](auto, std::size_t) { self->end(); });
    }
    void end() noexcept {
        if (!std::exchange(closed_, true)) {
            boost::system::error_code ignored;
            wake_.close(ignored);
            socket_.close(ignored);
            if (const auto user = user_.lock()) {
                user->gone();
            }
        }
    }

    // The executor only.
    socket socket_;
    descriptor wake_;
    std::weak_ptr<link_user> user_;
    std::uint64_t count_ = 0;
    char byte_ = 0;
    bool closed_ = false;
};

/// The native executor inside, or null.
inline const executor* native_executor(const boost::asio::any_io_executor& ex) noexcept {
    return ex.target<executor>();
}

std::shared_ptr<link> make_link(const boost::asio::any_io_executor& ex, unique_fd connection,
                                unique_fd wakes_us, unique_fd wakes_peer);

// Setting up. Each throws `system_error`.

/// The address of a path; of a name without a file where it begins with `@`.
boost::asio::local::stream_protocol::endpoint endpoint_of(std::string_view path);
/// A non-blocking eventfd.
unique_fd make_event();
/// Sends a client its memory, the event that wakes the server and the one that wakes it. False if
/// the client does not take them.
bool send_setup(int connection, const unique_fd& memory, const unique_fd& to_server,
                const unique_fd& to_client) noexcept;

/// What the client gets.
struct setup {
    unique_fd memory, to_server, to_client;
};
setup receive_setup(int connection);

}  // namespace rung::ipc::detail
