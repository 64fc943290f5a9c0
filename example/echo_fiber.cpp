/// An echo server that reads like blocking code, with clients that report through a channel, all on
/// one thread. Idle connections are closed; the server stops when the last client has reported.

#include <boost/asio.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <rung/rung.hpp>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using rung::use_fiber;
using socket_type = rung::native<tcp::socket>;
using reports = rung::channel<std::string>;

namespace {

constexpr int clients = 10, messages = 1'000;
constexpr auto patience = std::chrono::seconds(30);

/// Echoes until the client closes the connection or says nothing for too long.
void serve(socket_type peer) {
    char data[1024];
    for (;;) {
        const auto [error, size] = peer.async_read_some(
            asio::buffer(data), asio::as_tuple(use_fiber.after(patience)));
        if (error) {
            return;
        }
        asio::async_write(peer, asio::buffer(data, size), use_fiber);
    }
}

/// Gives each connection a fiber, until the acceptor is closed.
void listen(rung::io_context& context, rung::native<tcp::acceptor>& acceptor) {
    while (acceptor.is_open()) {
        auto [error, peer] = acceptor.async_accept(asio::as_tuple(use_fiber));
        if (!error) {
            rung::spawn(context, [p = std::move(peer)]() mutable { serve(std::move(p)); });
        }
    }
}

void ask(socket_type socket, const tcp::endpoint& server, const std::string& name, reports& to) {
    socket.async_connect(server, use_fiber.after(patience));
    std::string answer(name.size(), ' ');
    int right = 0;
    for (; right < messages && (right == 0 || answer == name); ++right) {
        asio::async_write(socket, asio::buffer(name), use_fiber);
        asio::async_read(socket, asio::buffer(answer), use_fiber);
    }
    to.send(name + " was answered " + std::to_string(right) + " times");
}

}  // namespace

int main() try {
    rung::io_context context(1);
    rung::native<tcp::acceptor> acceptor(context, {asio::ip::address_v4::loopback(), 0});
    reports done(context, clients);
    rung::spawn(context, [&] { listen(context, acceptor); });
    for (int i = 1; i <= clients; ++i) {
        rung::spawn(context, [&, name = "client " + std::to_string(i)] {
            ask(socket_type(context), acceptor.local_endpoint(), name, done);
        });
    }
    rung::spawn(context, [&] {
        for (int i = 0; i < clients; ++i) {
            std::cout << done.receive().value() << "\n";
        }
        acceptor.close();
    });
    context.run();
} catch (const std::exception& e) {
    std::cerr << "echo_fiber: " << e.what() << "\n";
    return EXIT_FAILURE;
}
