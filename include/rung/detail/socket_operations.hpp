#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/io_operation.hpp>
#include <rung/detail/transfer_buffers.hpp>
#include <tuple>
#include <utility>

/// What each socket operation asks of the kernel, and how it reads the answer.
namespace rung::detail {

/// What every receive of a socket shares.
class receive_core_base : public io_operation {
protected:
    receive_core_base(function_type f, int message_flags) noexcept
        : io_operation(f, level::normal) {
        flags = message_flags;
        if ((message_flags & MSG_OOB) != 0) {
            events = POLLPRI;
        } else {
            // Errors that have been queued are POLLERR, which every wait includes.
            events = (message_flags & MSG_ERRQUEUE) != 0 ? 0 : POLLIN;
        }
    }

public:
    /// Whether there is nothing to do.
    bool trivial() const noexcept { return false; }
};

/// Receives. Arguments of its handler: `(error_code, std::size_t)`; the end of a stream is `eof`.
template <class Buffers>
class receive_core : public receive_core_base {
public:
    receive_core(function_type f, const Buffers& buffers, int message_flags, bool stream) noexcept
        : receive_core_base(f, message_flags),
          buffers_(*this, io_kind::receive, io_kind::receive_msg, buffers),
          stream_(stream) {}
    /// A stream has no empty messages.
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

/// Receives a message and its sender's address. Arguments: `(error_code, std::size_t)`.
template <class Buffers, class Endpoint>
class receive_from_core : public receive_core_base {
public:
    receive_from_core(function_type f, const Buffers& buffers, Endpoint& sender,
                      int message_flags) noexcept
        : receive_core_base(f, message_flags),
          buffers_(*this, io_kind::receive_msg, buffers),
          sender_(sender) {
        buffers_.header().msg_name = sender_.data();
        buffers_.header().msg_namelen = static_cast<socklen_t>(sender_.capacity());
    }
    std::tuple<boost::system::error_code, std::size_t> take_result() noexcept {
        if (result >= 0) {
            // A name without its final zero counts as longer than there is room for.
            const std::size_t size = buffers_.header().msg_namelen;
            sender_.resize(std::min(size, sender_.capacity()));
        }
        return {error(), count()};
    }

private:
    message_buffers<boost::asio::mutable_buffer, Buffers> buffers_;
    Endpoint& sender_;
};

/// Receives a message and the flags that it came with. Arguments: `(error_code, std::size_t)`.
template <class Buffers>
class receive_with_flags_core : public receive_core_base {
public:
    receive_with_flags_core(function_type f, const Buffers& buffers, int message_flags,
                            int& out_flags) noexcept
        : receive_core_base(f, message_flags),
          buffers_(*this, io_kind::receive_msg, buffers),
          out_flags_(out_flags) {}
    std::tuple<boost::system::error_code, std::size_t> take_result() noexcept {
        out_flags_ = result >= 0 ? buffers_.header().msg_flags : 0;
        return {error(), count()};
    }

private:
    message_buffers<boost::asio::mutable_buffer, Buffers> buffers_;
    int& out_flags_;
};

/// What every send of a socket shares. Arguments of its handler: `(error_code, std::size_t)`.
class send_core_base : public io_operation {
protected:
    send_core_base(function_type f, int message_flags) noexcept : io_operation(f, level::normal) {
        flags = message_flags | MSG_NOSIGNAL;
        events = POLLOUT;
    }

public:
    bool trivial() const noexcept { return false; }
    std::tuple<boost::system::error_code, std::size_t> take_result() const noexcept {
        return {error(), count()};
    }
};

/// Sends to the peer.
template <class Buffers>
class send_core : public send_core_base {
public:
    send_core(function_type f, const Buffers& buffers, int message_flags, bool stream) noexcept
        : send_core_base(f, message_flags),
          buffers_(*this, io_kind::send, io_kind::send_msg, buffers),
          stream_(stream) {}
    bool trivial() const noexcept { return stream_ && buffers_.empty(); }

private:
    transfer_buffers<boost::asio::const_buffer, Buffers> buffers_;
    bool stream_;
};

/// Sends a message to an address.
template <class Buffers, class Endpoint>
class send_to_core : public send_core_base {
public:
    send_to_core(function_type f, const Buffers& buffers, const Endpoint& receiver,
                 int message_flags) noexcept
        : send_core_base(f, message_flags),
          buffers_(*this, io_kind::send_msg, buffers),
          receiver_(receiver) {
        buffers_.header().msg_name = receiver_.data();
        buffers_.header().msg_namelen = static_cast<socklen_t>(receiver_.size());
    }

private:
    message_buffers<boost::asio::const_buffer, Buffers> buffers_;
    Endpoint receiver_;
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
        : accept_core_base<Protocol>(f, protocol, endpoint),
          peer_(peer),
          peer_was_open_(peer.is_open()) {}

    std::tuple<boost::system::error_code> take_result() {
        if (peer_was_open_) {
            return {boost::asio::error::already_open};
        }
        return {this->finish_accept(peer_)};
    }

private:
    Socket& peer_;
    bool peer_was_open_;
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
