#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>
#include <poll.h>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/io_operation.hpp>
#include <tuple>

/// What each socket operation asks of the kernel, and how it reads the answer.
namespace rung::detail {

/// Waits for readiness. Arguments of its handler: `(error_code)`.
class wait_core : public io_operation {
public:
    wait_core(function_type f, boost::asio::socket_base::wait_type w) noexcept
        : io_operation(f, level::normal) {
        kind = io_kind::wait;
        switch (w) {
            case boost::asio::socket_base::wait_read:
                events = POLLIN;
                break;
            case boost::asio::socket_base::wait_write:
                events = POLLOUT;
                break;
            default:
                events = POLLPRI;
                break;
        }
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

/// Buffers in the kernel's form: one in the entry itself, several behind a msghdr.
///
/// It stays where it was made, in the operation that points into it.
template <class Buffer, class Buffers>
class transfer_buffers {
    using adapter = buffer_sequence_adapter<Buffer, Buffers>;
    static constexpr bool single = adapter::is_single_buffer;
    // The most that Linux moves in one call, see read(2); an entry has 32 bits for a length.
    static constexpr std::size_t most_bytes = 0x7ffff000;
    struct nothing {
        explicit nothing(const Buffers&) noexcept {}
    };
    struct vector {
        adapter sequence;
        msghdr header{};
        explicit vector(const Buffers& buffers) noexcept : sequence(buffers) {}
    };

public:
    /// Describes `buffers`, of which only the bytes must live on, to `op`.
    transfer_buffers(io_operation& op, io_kind one, io_kind many, const Buffers& buffers) noexcept
        : vector_(buffers) {
        if constexpr (single) {
            const Buffer b = adapter::first(buffers);
            op.kind = one;
            op.address = const_cast<void*>(static_cast<const void*>(b.data()));
            op.length = std::min(b.size(), most_bytes);
            empty_ = b.size() == 0;
        } else {
            vector_.header.msg_iov = vector_.sequence.buffers();
            vector_.header.msg_iovlen = vector_.sequence.count();
            op.kind = many;
            op.address = &vector_.header;
            empty_ = vector_.sequence.all_empty();
        }
    }
    transfer_buffers(const transfer_buffers&) = delete;
    transfer_buffers& operator=(const transfer_buffers&) = delete;

    bool empty() const noexcept { return empty_; }

private:
    [[no_unique_address]] std::conditional_t<single, nothing, vector> vector_;
    bool empty_ = false;
};

/// Receives. Arguments of its handler: `(error_code, std::size_t)`; the end of a stream is `eof`.
template <class Buffers>
class receive_core : public io_operation {
public:
    receive_core(function_type f, const Buffers& buffers, int message_flags, bool stream) noexcept
        : io_operation(f, level::normal),
          buffers_(*this, io_kind::receive, io_kind::receive_msg, buffers),
          stream_(stream) {
        flags = message_flags;
        events = (message_flags & MSG_OOB) != 0 ? POLLPRI : POLLIN;
        polling = (message_flags & MSG_OOB) != 0;  // without data it fails instead of waiting
    }
    /// Whether there is nothing to do: a stream has no empty messages.
    bool trivial() const noexcept { return stream_ && buffers_.empty(); }

    std::tuple<boost::system::error_code, std::size_t> take_result() const noexcept {
        if (result == 0 && stream_ && !buffers_.empty()) {
            return {boost::asio::error::eof, 0};
        }
        return {error(), count()};
    }

private:
    transfer_buffers<boost::asio::mutable_buffer, Buffers> buffers_;
    bool stream_;
};

/// Sends. Arguments of its handler: `(error_code, std::size_t)`.
template <class Buffers>
class send_core : public io_operation {
public:
    send_core(function_type f, const Buffers& buffers, int message_flags, bool stream) noexcept
        : io_operation(f, level::normal),
          buffers_(*this, io_kind::send, io_kind::send_msg, buffers),
          stream_(stream) {
        flags = message_flags | MSG_NOSIGNAL;
        events = POLLOUT;
    }
    bool trivial() const noexcept { return stream_ && buffers_.empty(); }
    std::tuple<boost::system::error_code, std::size_t> take_result() const noexcept {
        return {error(), count()};
    }

private:
    transfer_buffers<boost::asio::const_buffer, Buffers> buffers_;
    bool stream_;
};

/// Connects. Arguments of its handler: `(error_code)`.
template <class Endpoint>
class connect_core : public io_operation {
public:
    connect_core(function_type f, const Endpoint& peer) noexcept
        : io_operation(f, level::normal), peer_(peer) {
        kind = io_kind::connect;
        address = peer_.data();
        length = peer_.size();
        events = POLLOUT;
    }
    std::tuple<boost::system::error_code> take_result() const noexcept { return {error()}; }

private:
    Endpoint peer_;
};

/// What both forms of accept share: the peer's address.
template <class Protocol>
class accept_core_base : public io_operation {
protected:
    using endpoint_type = typename Protocol::endpoint;

    accept_core_base(function_type f, const Protocol& protocol, endpoint_type* peer) noexcept
        : io_operation(f, level::normal), protocol_(protocol), peer_endpoint_(peer) {
        kind = io_kind::accept;
        events = POLLIN;
        if (peer_endpoint_ != nullptr) {
            size_ = static_cast<socklen_t>(peer_endpoint_->capacity());
            address = peer_endpoint_->data();
            address_length = &size_;
        }
    }

    /// Gives the accepted descriptor to `peer`.
    template <class Socket>
    boost::system::error_code finish_accept(Socket& peer) {
        boost::system::error_code ec = error();
        if (!ec) {
            socket_holder accepted(result);
            if (peer_endpoint_ != nullptr) {
                peer_endpoint_->resize(size_);
            }
            peer.assign(protocol_, accepted.get(), ec);
            if (!ec) {
                accepted.release();
            }
        }
        return ec;
    }

public:
    /// Closes what was accepted for a handler that will not be called.
    void abandon() noexcept {
        if (result >= 0) {
            socket_holder closing(result);
        }
    }

private:
    Protocol protocol_;
    endpoint_type* peer_endpoint_;
    socklen_t size_ = 0;
};

/// Accepts into a socket of the caller's. Arguments of its handler: `(error_code)`.
template <class Protocol, class Socket>
class accept_core : public accept_core_base<Protocol> {
public:
    accept_core(io_operation::function_type f, const Protocol& protocol,
                typename Protocol::endpoint* endpoint, Socket& peer) noexcept
        : accept_core_base<Protocol>(f, protocol, endpoint), peer_(peer) {}

    /// Makes the operation fail because the socket is open already.
    void refuse() noexcept { refused_ = true; }

    std::tuple<boost::system::error_code> take_result() {
        if (refused_) {
            return {boost::asio::error::already_open};
        }
        return {this->finish_accept(peer_)};
    }

private:
    Socket& peer_;
    bool refused_ = false;
};

/// Accepts into a new socket. Arguments of its handler: `(error_code, Socket)`.
template <class Protocol, class Socket>
class move_accept_core : public accept_core_base<Protocol> {
public:
    template <class PeerExecutor>
    move_accept_core(io_operation::function_type f, const Protocol& protocol,
                     typename Protocol::endpoint* endpoint, const PeerExecutor& peer_ex)
        : accept_core_base<Protocol>(f, protocol, endpoint), peer_(peer_ex) {}

    std::tuple<boost::system::error_code, Socket> take_result() {
        const boost::system::error_code ec = this->finish_accept(peer_);
        return {ec, std::move(peer_)};
    }

private:
    Socket peer_;
};

}  // namespace rung::detail
