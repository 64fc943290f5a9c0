#pragma once

#include <boost/asio/buffer.hpp>
#include <rung/detail/io_handler.hpp>
#include <rung/detail/socket_operations.hpp>
#include <rung/detail/socket_state.hpp>
#include <rung/executor.hpp>

namespace rung::detail {

/// The native implementation behind Asio's sockets and acceptors of one protocol.
///
/// Members have the names, the arguments and the errors of Asio's own socket service; Asio's public
/// classes document them.
template <class Protocol>
class socket_service : public socket_service_base {
public:
    using protocol_type = Protocol;
    using endpoint_type = typename Protocol::endpoint;
    struct implementation_type : socket_state {
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
        take(to, from_service, from);
        to.protocol = from.protocol;
        from.protocol = endpoint_type().protocol();
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
    std::size_t send(socket_state& s, const Buffers& buffers, int flags, error_code& ec) {
        if constexpr (std::is_same_v<Buffers, null_buffers>) {
            socket_ops::poll_write(s.descriptor, s.flags, -1, ec);
            return 0;
        } else {
            buffer_sequence_adapter<boost::asio::const_buffer, Buffers> b(buffers);
            return socket_ops::sync_send(s.descriptor, s.flags, b.buffers(), b.count(), flags,
                                         b.all_empty(), ec);
        }
    }
    template <class Buffers>
    std::size_t receive(socket_state& s, const Buffers& buffers, int flags, error_code& ec) {
        if constexpr (std::is_same_v<Buffers, null_buffers>) {
            socket_ops::poll_read(s.descriptor, s.flags, -1, ec);
            return 0;
        } else {
            buffer_sequence_adapter<boost::asio::mutable_buffer, Buffers> b(buffers);
            return socket_ops::sync_recv(s.descriptor, s.flags, b.buffers(), b.count(), flags,
                                         b.all_empty(), ec);
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait(socket_state& s, boost::asio::socket_base::wait_type w, Handler& handler,
                    const IoExecutor& ex) {
        cancel_link* const link = slot_of(handler);
        auto* const op = make<wait_core>(s, "async_wait", handler, ex, w);
        start(s, op, link);
    }
    template <class Handler, class IoExecutor>
    void async_connect(implementation_type& s, const endpoint_type& peer, Handler& handler,
                       const IoExecutor& ex) {
        cancel_link* const link = slot_of(handler);
        auto* const op = make<connect_core<endpoint_type>>(s, "async_connect", handler, ex, peer);
        start(s, op, link);
    }
    template <class Socket, class Handler, class IoExecutor>
    void async_accept(implementation_type& s, Socket& peer, endpoint_type* peer_endpoint,
                      Handler& handler, const IoExecutor& ex) {
        cancel_link* const link = slot_of(handler);
        auto* const op = make<accept_core<Protocol, Socket>>(s, "async_accept", handler, ex,
                                                             s.protocol, peer_endpoint, peer);
        if (peer.is_open()) {
            op->refuse();
            engine::complete_now(engine(), op, false);
        } else {
            start(s, op, link);
        }
    }
    template <class PeerExecutor, class Handler, class IoExecutor>
    void async_move_accept(implementation_type& s, const PeerExecutor& peer_ex,
                           endpoint_type* peer_endpoint, Handler& handler, const IoExecutor& ex) {
        using peer_socket =
            typename Protocol::socket::template rebind_executor<PeerExecutor>::other;
        cancel_link* const link = slot_of(handler);
        auto* const op = make<move_accept_core<Protocol, peer_socket>>(
            s, "async_accept", handler, ex, s.protocol, peer_endpoint, peer_ex);
        start(s, op, link);
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_send(socket_state& s, const Buffers& buffers, int flags, Handler& handler,
                    const IoExecutor& ex) {
        if constexpr (std::is_same_v<Buffers, null_buffers>) {
            async_wait_null(s, boost::asio::socket_base::wait_write, handler, ex);
        } else {
            transfer<send_core<Buffers>>(s, "async_send", buffers, flags, handler, ex);
        }
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_receive(socket_state& s, const Buffers& buffers, int flags, Handler& handler,
                       const IoExecutor& ex) {
        if constexpr (std::is_same_v<Buffers, null_buffers>) {
            async_wait_null(s,
                            (flags & MSG_OOB) != 0 ? boost::asio::socket_base::wait_error
                                                   : boost::asio::socket_base::wait_read,
                            handler, ex);
        } else {
            transfer<receive_core<Buffers>>(s, "async_receive", buffers, flags, handler, ex);
        }
    }

private:
    template <class Handler>
    cancel_link* slot_of(const Handler& handler) {
        return connect_slot<&engine::cancel>(handler, engine());
    }

    template <class Core, class Handler, class IoExecutor, class... Args>
    auto* make([[maybe_unused]] socket_state& s, [[maybe_unused]] const char* name,
               Handler& handler, const IoExecutor& ex, Args&&... args) {
        auto* const op =
            make_handler_operation<Core>(handler, ex, std::forward<Args>(args)...);
        op->io_level = executor_access::io_level_of(inner_executor(ex));
        BOOST_ASIO_HANDLER_CREATION((context(), *op, "socket", &s, s.descriptor, name));
        return op;
    }

    template <class Core, class Buffers, class Handler, class IoExecutor>
    void transfer(socket_state& s, const char* name, const Buffers& buffers, int flags,
                  Handler& handler, const IoExecutor& ex) {
        cancel_link* const link = slot_of(handler);
        auto* const op = make<Core>(s, name, handler, ex, buffers, flags,
                                    (s.flags & socket_ops::stream_oriented) != 0);
        if (op->trivial()) {
            op->result = 0;
            engine::complete_now(engine(), op, false);
        } else {
            start_transfer(s, op, link);
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait_null(socket_state& s, boost::asio::socket_base::wait_type w, Handler& handler,
                         const IoExecutor& ex) {
        cancel_link* const link = slot_of(handler);
        start(s, make<null_buffers_core>(s, "async_wait(null_buffers)", handler, ex, w), link);
    }
};

}  // namespace rung::detail
