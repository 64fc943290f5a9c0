/// An echo server that reads like blocking code, with an urgent port beside the ordinary one, and
/// clients of both, all on one thread. Compare echo_coroutine.cpp.
#include <boost/asio.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using rung::use_fiber;
using acceptor_type = rung::native<tcp::acceptor>;
using socket_type = rung::native<tcp::socket>;

namespace {

constexpr int clients = 10, messages = 1'000;
/// Echoes until the client closes the connection.
void serve(socket_type peer) {
    char data[1024];
    for (;;) {
        const auto [error, size] =
            peer.async_read_some(asio::buffer(data), asio::as_tuple(use_fiber));
        if (error) {
            return;
        }
        asio::async_write(peer, asio::buffer(data, size), use_fiber);
    }
}

/// Each session is a fiber of the acceptor's executor, and has its priority.
void accept(acceptor_type& acceptor, int number) {
    for (int i = 0; i < number; ++i) {
        rung::spawn(acceptor.get_executor(), [peer = acceptor.async_accept(use_fiber)]() mutable {
            serve(std::move(peer));
        });
    }
}

void ask(const rung::executor& executor, const std::string& name, const tcp::endpoint& server) {
    socket_type socket(executor);
    socket.async_connect(server, use_fiber.after(std::chrono::seconds(5)));
    std::string answer(name.size(), ' ');
    for (int i = 0; i < messages; ++i) {
        asio::async_write(socket, asio::buffer(name), use_fiber);
        asio::async_read(socket, asio::buffer(answer), use_fiber);
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

    rung::spawn(context, [&] { accept(bulk_port, clients); });
    rung::spawn(urgent, [&] { accept(control_port, 1); });
    for (int i = 1; i <= clients; ++i) {
        rung::spawn(normal, [&, name = "client " + std::to_string(i)] {
            ask(normal, name, bulk_port.local_endpoint());
        });
    }
    rung::spawn(urgent, [&] { ask(urgent, "the urgent client", control_port.local_endpoint()); });
    context.run();
    return EXIT_SUCCESS;
} catch (const std::exception& e) {
    std::cerr << "echo_fiber: " << e.what() << "\n";
    return EXIT_FAILURE;
}
