#pragma once

#include <boost/asio/buffer.hpp>
#include <rung/detail/socket_operations.hpp>
#include <rung/detail/socket_service_base.hpp>

namespace rung::detail {

/// The native implementation behind Asio's sockets and acceptors of one protocol.
///
/// Members have the names, the arguments and the errors of Asio's own socket service; Asio's public
/// classes document them.
template <class Protocol>
class socket_service : public socket_service_base {
    using wait_type = boost::asio::socket_base::wait_type;
    static constexpr wait_type wait_read = boost::asio::socket_base::wait_read;
    static constexpr wait_type wait_write = boost::asio::socket_base::wait_write;
    template <class Buffers>
    using source = buffer_sequence_adapter<boost::asio::const_buffer, Buffers>;
    template <class Buffers>
    using target = buffer_sequence_adapter<boost::asio::mutable_buffer, Buffers>;

public:
    using protocol_type = Protocol;
    using endpoint_type = typename Protocol::endpoint;
    struct implementation_type : io_object_state {
        Protocol protocol = endpoint_type().protocol();
    };

    template <native_executor Executor>
    explicit socket_service(const Executor& ex) noexcept
        : socket_service_base(executor_access::engine_of(inner_executor(ex))) {}

    void move_construct(implementation_type& to, implementation_type& from) noexcept {
        move_assign(to, *this, from);
    }
    void move_assign(implementation_type& to, socket_service_base& from_service,
                     implementation_type& from) noexcept {
        destroy(to);
        take(to, from_service, from);
        to.protocol = std::exchange(from.protocol, endpoint_type().protocol());
    }
    template <class Protocol1>
    void converting_move_construct(
        implementation_type& to, socket_service<Protocol1>& from_service,
        typename socket_service<Protocol1>::implementation_type& from) noexcept {
        take(to, from_service, from);
        to.protocol = Protocol(from.protocol);
        from.protocol = typename Protocol1::endpoint().protocol();
    }

    error_code open(implementation_type& s, const Protocol& protocol, error_code& ec) {
        if (!open_descriptor(s, protocol.family(), protocol.type(), protocol.protocol(), ec)) {
            s.protocol = protocol;
        }
        return ec;
    }
    error_code assign(implementation_type& s, const Protocol& protocol, int descriptor,
                      error_code& ec) {
        if (!assign_descriptor(s, protocol.type(), descriptor, ec)) {
            s.protocol = protocol;
        }
        return ec;
    }
    error_code bind(implementation_type& s, const endpoint_type& endpoint, error_code& ec) {
        socket_ops::bind(s.descriptor, endpoint.data(), endpoint.size(), ec);
        return ec;
    }
    template <class Option>
    error_code set_option(implementation_type& s, const Option& option, error_code& ec) {
        socket_ops::setsockopt(s.descriptor, s.flags, option.level(s.protocol),
                               option.name(s.protocol), option.data(s.protocol),
                               option.size(s.protocol), ec);
        note_option(s, option.level(s.protocol), option.name(s.protocol));
        return ec;
    }
    template <class Option>
    error_code get_option(const implementation_type& s, Option& option, error_code& ec) const {
        std::size_t size = option.size(s.protocol);
        socket_ops::getsockopt(s.descriptor, s.flags, option.level(s.protocol),
                               option.name(s.protocol), option.data(s.protocol), &size, ec);
        if (!ec) {
            option.resize(s.protocol, size);
        }
        return ec;
    }
    endpoint_type local_endpoint(const implementation_type& s, error_code& ec) const {
        endpoint_type endpoint;
        std::size_t size = endpoint.capacity();
        if (socket_ops::getsockname(s.descriptor, endpoint.data(), &size, ec) != 0) {
            return {};
        }
        endpoint.resize(size);
        return endpoint;
    }
    endpoint_type remote_endpoint(const implementation_type& s, error_code& ec) const {
        endpoint_type endpoint;
        std::size_t size = endpoint.capacity();
        if (socket_ops::getpeername(s.descriptor, endpoint.data(), &size, false, ec) != 0) {
            return {};
        }
        endpoint.resize(size);
        return endpoint;
    }

    error_code connect(implementation_type& s, const endpoint_type& peer, error_code& ec) {
        socket_ops::sync_connect(s.descriptor, peer.data(), peer.size(), ec);
        return ec;
    }
    template <class Socket>
    error_code accept(implementation_type& s, Socket& peer, endpoint_type* peer_endpoint,
                      error_code& ec) {
        if (peer.is_open()) {
            ec = boost::asio::error::already_open;
            return ec;
        }
        std::size_t size = peer_endpoint != nullptr ? peer_endpoint->capacity() : 0;
        socket_holder accepted(socket_ops::sync_accept(
            s.descriptor, s.flags, peer_endpoint != nullptr ? peer_endpoint->data() : nullptr,
            peer_endpoint != nullptr ? &size : nullptr, ec));
        if (accepted.get() != -1) {
            if (peer_endpoint != nullptr) {
                peer_endpoint->resize(size);
            }
            if (!peer.assign(s.protocol, accepted.get(), ec)) {
                accepted.release();
            }
        }
        return ec;
    }
    template <class Buffers>
    std::size_t send(io_object_state& s, const Buffers& buffers, int flags, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            return await_null(s, wait_write, ec);
        } else {
            source<Buffers> b(buffers);
            return socket_ops::sync_send(s.descriptor, s.flags, b.buffers(), b.count(), flags,
                                         b.all_empty(), ec);
        }
    }
    template <class Buffers>
    std::size_t send_to(io_object_state& s, const Buffers& buffers, const endpoint_type& receiver,
                        int flags, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            return await_null(s, wait_write, ec);
        } else {
            source<Buffers> b(buffers);
            return socket_ops::sync_sendto(s.descriptor, s.flags, b.buffers(), b.count(), flags,
                                           receiver.data(), receiver.size(), ec);
        }
    }
    template <class Buffers>
    std::size_t receive(io_object_state& s, const Buffers& buffers, int flags, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            return await_null(s, wait_read, ec);
        } else {
            target<Buffers> b(buffers);
            return socket_ops::sync_recv(s.descriptor, s.flags, b.buffers(), b.count(), flags,
                                         b.all_empty(), ec);
        }
    }
    template <class Buffers>
    std::size_t receive_from(io_object_state& s, const Buffers& buffers, endpoint_type& sender,
                             int flags, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            sender = {};
            return await_null(s, wait_read, ec);
        } else {
            target<Buffers> b(buffers);
            std::size_t size = sender.capacity();
            const std::size_t n = socket_ops::sync_recvfrom(
                s.descriptor, s.flags, b.buffers(), b.count(), flags, sender.data(), &size, ec);
            if (!ec) {
                sender.resize(std::min(size, sender.capacity()));
            }
            return n;
        }
    }
    template <class Buffers>
    std::size_t receive_with_flags(io_object_state& s, const Buffers& buffers, int flags,
                                   int& out_flags, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            out_flags = 0;
            return await_null(s, wait_read, ec);
        } else {
            target<Buffers> b(buffers);
            return socket_ops::sync_recvmsg(s.descriptor, s.flags, b.buffers(), b.count(), flags,
                                            out_flags, ec);
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait(io_object_state& s, wait_type w, Handler& handler, const IoExecutor& ex) {
        begin_wait(s, {"socket", "async_wait"}, w, handler, ex);
    }
    template <class Handler, class IoExecutor>
    void async_connect(implementation_type& s, const endpoint_type& peer, Handler& handler,
                       const IoExecutor& ex) {
        begin_connect<connect_core<endpoint_type>>(s, {"socket", "async_connect"}, handler, ex,
                                                   peer);
    }
    template <class Socket, class Handler, class IoExecutor>
    void async_accept(implementation_type& s, Socket& peer, endpoint_type* peer_endpoint,
                      Handler& handler, const IoExecutor& ex) {
        using core = accept_core<Protocol, Socket>;
        constexpr operation_name name{"socket", "async_accept"};
        if (peer.is_open()) {
            refuse<core>(s, name, EISCONN, handler, ex, s.protocol, peer_endpoint, peer);
        } else {
            begin<core>(s, name, handler, ex, s.protocol, peer_endpoint, peer);
        }
    }
    template <class PeerExecutor, class Handler, class IoExecutor>
    void async_move_accept(implementation_type& s, const PeerExecutor& peer_ex,
                           endpoint_type* peer_endpoint, Handler& handler, const IoExecutor& ex) {
        using peer_socket =
            typename Protocol::socket::template rebind_executor<PeerExecutor>::other;
        begin<move_accept_core<Protocol, peer_socket>>(s, {"socket", "async_accept"}, handler, ex,
                                                       s.protocol, peer_endpoint, peer_ex);
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_send(io_object_state& s, const Buffers& buffers, int flags, Handler& handler,
                    const IoExecutor& ex) {
        constexpr operation_name name{"socket", "async_send"};
        if constexpr (is_null_buffers<Buffers>) {
            begin_wait<null_buffers_core>(s, name, wait_write, handler, ex);
        } else {
            begin_transfer<send_core<Buffers>>(s, name, handler, ex, buffers, flags, is_stream(s));
        }
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_send_to(io_object_state& s, const Buffers& buffers, const endpoint_type& receiver,
                       int flags, Handler& handler, const IoExecutor& ex) {
        constexpr operation_name name{"socket", "async_send_to"};
        if constexpr (is_null_buffers<Buffers>) {
            begin_wait<null_buffers_core>(s, name, wait_write, handler, ex);
        } else {
            begin_transfer<send_to_core<Buffers, endpoint_type>>(s, name, handler, ex, buffers,
                                                                 receiver, flags);
        }
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_receive(io_object_state& s, const Buffers& buffers, int flags, Handler& handler,
                       const IoExecutor& ex) {
        constexpr operation_name name{"socket", "async_receive"};
        if constexpr (is_null_buffers<Buffers>) {
            begin_wait<null_buffers_core>(s, name, wait_for(flags), handler, ex);
        } else {
            begin_transfer<receive_core<Buffers>>(s, name, handler, ex, buffers, flags,
                                                  is_stream(s));
        }
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_receive_from(io_object_state& s, const Buffers& buffers, endpoint_type& sender,
                            int flags, Handler& handler, const IoExecutor& ex) {
        constexpr operation_name name{"socket", "async_receive_from"};
        if constexpr (is_null_buffers<Buffers>) {
            sender = {};
            begin_wait<null_buffers_core>(s, name, wait_for(flags), handler, ex);
        } else {
            begin_transfer<receive_from_core<Buffers, endpoint_type>>(s, name, handler, ex, buffers,
                                                                      sender, flags);
        }
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_receive_with_flags(io_object_state& s, const Buffers& buffers, int flags,
                                  int& out_flags, Handler& handler, const IoExecutor& ex) {
        constexpr operation_name name{"socket", "async_receive_with_flags"};
        if constexpr (is_null_buffers<Buffers>) {
            out_flags = 0;
            begin_wait<null_buffers_core>(s, name, wait_for(flags), handler, ex);
        } else {
            begin_transfer<receive_with_flags_core<Buffers>>(s, name, handler, ex, buffers, flags,
                                                             out_flags);
        }
    }

private:
    static wait_type wait_for(int receive_flags) noexcept {
        return (receive_flags & MSG_OOB) != 0 ? boost::asio::socket_base::wait_error : wait_read;
    }
    std::size_t await_null(io_object_state& s, wait_type w, error_code& ec) {
        wait(s, w, ec);
        return 0;
    }
};

}  // namespace rung::detail
