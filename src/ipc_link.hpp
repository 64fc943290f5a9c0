#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <rung/executor.hpp>
#include <string_view>

#include "ipc_memory.hpp"

namespace rung::ipc::detail {

/// What a link reports to, on the executor, one call at a time.
class link_user {
public:
    /// There may be news. Returns when all was taken, and with it the reader marked as asleep.
    virtual void look() = 0;
    /// The peer is gone, or the link failed.
    virtual void gone() noexcept = 0;

protected:
    ~link_user() = default;
};

/// One side of a connection: the memory, and the socket that ends with the peer.
///
/// A reader that sleeps on a futex, where its ring can wait for one, is woken through the memory;
/// any other by a byte through the socket. Both ways of waking are calls that cannot block,
/// whatever the peer does. (Of an eventfd, a pipe or anything else that two processes share by one
/// open file description, the peer may change the blocking mode.) What listens belongs to the
/// context, which may go first, and not to the link.
class link : public std::enable_shared_from_this<link> {
public:
    enum class side : std::uint8_t { server, client };

    link(memory&& m, unique_fd socket, side s) noexcept;

    const memory& shared() const noexcept { return memory_; }

    /// Begins to listen on an executor, with a first look. Keeps the link, but not its user, until
    /// the end of the connection. Throws `system_error` where there are no descriptors left.
    void listen(const boost::asio::any_io_executor& ex, const std::shared_ptr<link_user>& user);
    /// Ends the connection, of which the peer hears, too. Any thread.
    void close() const noexcept;
    /// Tells the peer that slot `i` has news. Any thread.
    void tell(std::size_t i) const noexcept;
    /// Calls `f(i)` for each slot with news, and leaves the reader marked as asleep.
    template <class F>
    void take_news(F f) const {
        take_all_news(*in_, memory_.slots(), way_, f);
    }

    // For what listens, on its executor.
    /// A second descriptor of the socket.
    unique_fd duplicate() const;
    /// The word on which the reader sleeps; null where that is the socket.
    std::atomic<std::uint32_t>* futex() const noexcept {
        return way_ == direction::on_futex ? &in_->asleep : nullptr;
    }
    void sleep_on_socket() noexcept { way_ = direction::on_socket; }

private:
    const memory memory_;
    const unique_fd socket_;
    direction* const in_;
    direction* const out_;
    std::uint32_t way_ = direction::on_socket;  // in which the reader sleeps; its executor only
};

/// The native executor inside, or null.
inline const executor* native_executor(const boost::asio::any_io_executor& ex) noexcept {
    return ex.target<executor>();
}

// Setting up. Each throws `system_error`.

/// The address of a path; of a name without a file where it begins with `@`.
boost::asio::local::stream_protocol::endpoint endpoint_of(std::string_view path);
/// Sends a client its memory. False if it does not take it.
bool send_memory(int connection, const unique_fd& memory) noexcept;
/// What `send_memory` sent.
unique_fd receive_memory(int connection);

}  // namespace rung::ipc::detail
