// The library under test: the same source as stock Asio's servers, on the other context.

#if __has_include(<rung/rung.hpp>)

#include "asio_server.hpp"

#include <rung/rung.hpp>

namespace bench {

void serve_rung_callback(control_link& link, const role_arguments& args) {
    rung::io_context context(1);
    serve_callbacks(link, args, context, context.get_executor());
}

void serve_rung_coroutine(control_link& link, const role_arguments& args) {
    rung::io_context context(1);
    serve_coroutines(link, args, context, context.get_executor());
}

// As the coroutine's session, in fibers.
void serve_rung_fiber(control_link& link, const role_arguments& args) {
    need_tcp(args);
    rung::io_context context(1);
    asio::basic_socket_acceptor<asio::ip::tcp, rung::executor> acceptor(
        context, {asio::ip::address_v4::loopback(), 0});
    rung::spawn(context, [&] {
        for (;;) {
            auto socket = acceptor.async_accept(rung::use_fiber);
            socket.set_option(asio::ip::tcp::no_delay(true));
            rung::spawn(context, [peer = std::move(socket)]() mutable {
                std::array<char, echo_buffer_size> data;
                for (;;) {
                    const auto [error, n] = peer.async_read_some(
                        asio::buffer(data), asio::as_tuple(rung::use_fiber));
                    if (error)
                        return;
                    const auto [failed, written] = asio::async_write(
                        peer, asio::buffer(data.data(), n), asio::as_tuple(rung::use_fiber));
                    if (failed)
                        return;
                }
            });
        }
    });
    link.ready({acceptor.local_endpoint().port()});
    context.run();
}

}  // namespace bench

#endif
