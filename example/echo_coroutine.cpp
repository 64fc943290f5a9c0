/// An echo server in coroutines, with an urgent port beside the ordinary one, and clients of both,
/// all on one thread. The urgent client starts last and is done first.

#include <boost/asio.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;

// Asio's own templates over rung's executor: native objects, and coroutines that know it.
using acceptor_type = rung::native<tcp::acceptor>;
using socket_type = rung::native<tcp::socket>;
using task = asio::awaitable<void, rung::executor>;
constexpr asio::use_awaitable_t<rung::executor> use_task;

namespace {

constexpr int clients = 10;
constexpr int messages = 1'000;

/// Echoes until the client closes the connection.
task serve(socket_type peer) {
    char data[1024];
    for (;;) {
        const auto [error, size] =
            co_await peer.async_read_some(asio::buffer(data), asio::as_tuple(use_task));
        if (error) {
            co_return;
        }
        co_await asio::async_write(peer, asio::buffer(data, size), use_task);
    }
}

/// What it accepts has the acceptor's executor, and with it the acceptor's priority.
task accept(acceptor_type& acceptor, int number) {
    for (int i = 0; i < number; ++i) {
        socket_type peer = co_await acceptor.async_accept(use_task);
        const rung::executor executor = peer.get_executor();
        asio::co_spawn(executor, serve(std::move(peer)), asio::detached);
    }
}

task ask(std::string name, tcp::endpoint server) {
    socket_type socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(server, use_task);
    std::string answer;
    for (int i = 0; i < messages; ++i) {
        co_await asio::async_write(socket, asio::buffer(name), use_task);
        answer.resize(name.size());
        co_await asio::async_read(socket, asio::buffer(answer), use_task);
        if (answer != name) {
            throw std::runtime_error("a client was answered " + answer);
        }
    }
    std::cout << name << " is done\n";
}

}  // namespace

int main() try {
    rung::io_context context(1);
    const rung::executor normal = context.get_executor();
    const rung::executor urgent = rung::with_priority(normal, rung::priority::high);

    const tcp::endpoint any_port(asio::ip::address_v4::loopback(), 0);
    acceptor_type bulk_port(normal, any_port);
    acceptor_type control_port(urgent, any_port);

    const auto fail = [](std::exception_ptr e) {
        if (e) {
            std::rethrow_exception(e);  // leaves context.run()
        }
    };
    asio::co_spawn(normal, accept(bulk_port, clients), fail);
    asio::co_spawn(urgent, accept(control_port, 1), fail);
    for (int i = 1; i <= clients; ++i) {
        const std::string name = "client " + std::to_string(i);
        asio::co_spawn(normal, ask(name, bulk_port.local_endpoint()), fail);
    }
    asio::co_spawn(urgent, ask("the urgent client", control_port.local_endpoint()), fail);

    context.run();
    return EXIT_SUCCESS;
} catch (const std::exception& e) {
    std::cerr << "echo_coroutine: " << e.what() << "\n";
    return EXIT_FAILURE;
}
