// Stock Asio on epoll in the stackful style: asio::spawn, in its best configuration as the others.

#include "asio_server.hpp"

#include <boost/asio/io_context.hpp>

#if RUNG_BENCHMARK_HAS_ASIO_SPAWN

#include <boost/asio/spawn.hpp>

namespace bench {

void serve_asio_epoll_spawn(control_link& link, const role_arguments& args) {
    need_tcp(args);
    using executor = asio::io_context::executor_type;
    using yield_context = asio::basic_yield_context<executor>;
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    echo_acceptor<asio::ip::tcp, executor> acceptor(context.get_executor());
    acceptor.run([&](stream<asio::ip::tcp, executor> socket) {
        asio::spawn(
            context.get_executor(),
            [peer = std::move(socket)](const yield_context& yield) mutable {
                std::array<char, echo_buffer_size> data;
                boost::system::error_code error;
                for (;;) {
                    const std::size_t n = peer.async_read_some(asio::buffer(data), yield[error]);
                    if (error)
                        return;
                    asio::async_write(peer, asio::buffer(data.data(), n), yield[error]);
                    if (error)
                        return;
                }
            },
            asio::detached);
    });
    link.ready({acceptor.port()});
    context.run();
}

}  // namespace bench

#else

namespace bench {

void serve_asio_epoll_spawn(control_link&, const role_arguments&) {
    throw unavailable("Boost.Context is not installed");
}

}  // namespace bench

#endif
