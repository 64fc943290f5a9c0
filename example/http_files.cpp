/// A file server for HTTP/1.1 in fiber style: `http_files [PORT DIRECTORY]`, then curl it. Without
/// arguments it serves its own program to itself once, and ends.
#include <boost/asio.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <rung/rung.hpp>
#include <string>
namespace asio = boost::asio;
using asio::ip::tcp;
using rung::use_fiber;
using socket_type = rung::native<tcp::socket>;

namespace {
constexpr auto patience = std::chrono::seconds(30);
/// The file that a request line asks for, or an empty path: never one outside of the root.
std::filesystem::path wanted(const std::filesystem::path& root, const std::string& request) {
    const auto begin = request.find(' ') + 1;
    const auto name = request.substr(begin, request.find(' ', begin) - begin);
    const auto file = root / std::filesystem::path(name).relative_path();
    const bool sound = request.starts_with("GET /") && name.find("..") == std::string::npos;
    return sound && is_regular_file(file) ? file : std::filesystem::path();
}

/// Answers one request after the other, for as long as the client sends some.
void serve(socket_type& client, const std::filesystem::path& root) {
    std::string received;
    for (;;) {
        const auto [error, size] =
            asio::async_read_until(client, asio::dynamic_buffer(received, 8192), "\r\n\r\n",
                                   asio::as_tuple(use_fiber.after(patience)));
        if (error) {
            return;
        }
        std::ifstream file(wanted(root, received), std::ios::binary);
        received.erase(0, size);
        const std::string body(std::istreambuf_iterator<char>(file), {});
        const std::string head = std::string("HTTP/1.1 ") + (file ? "200 OK" : "404 Not Found") +
                                 "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        asio::async_write(client, asio::buffer(head + body), use_fiber.after(patience));
    }
}
std::size_t fetch(socket_type socket, const tcp::endpoint& server, const std::string& name) {
    socket.async_connect(server, use_fiber);
    asio::async_write(socket, asio::buffer("GET /" + name + " HTTP/1.1\r\n\r\n"), use_fiber);
    socket.shutdown(tcp::socket::shutdown_send);
    std::string all;
    asio::async_read(socket, asio::dynamic_buffer(all), asio::as_tuple(use_fiber));
    return all.size() - all.find("\r\n\r\n") - 4;
}
}  // namespace
int main(int argc, char** argv) try {
    rung::io_context context(1);
    const std::filesystem::path self(argv[0]);
    const auto root = argc > 2 ? argv[2] : self.parent_path();
    const auto port = static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 0);
    rung::native<tcp::acceptor> acceptor(context, {asio::ip::address_v4::loopback(), port});
    rung::spawn(context, [&] {
        for (;;) {
            rung::spawn(context, [&root, client = acceptor.async_accept(use_fiber)]() mutable {
                serve(client, root);
            });
        }
    });
    if (argc < 3) {
        rung::spawn(context, [&] {
            const auto server = acceptor.local_endpoint();
            std::cout << fetch(socket_type(context), server, self.filename()) << " bytes, and "
                      << fetch(socket_type(context), server, "/etc/passwd") << " of others\n";
            context.stop();
        });
    }
    context.run();
} catch (const std::exception& e) {
    std::cerr << "http_files: " << e.what() << "\n";
    return EXIT_FAILURE;
}
