// peer PORT TEXT [TIMES]: sends TEXT to a port of this machine, a connection after the other, and
// expects it back each time. Stock Asio, and nothing of rung.

#include <boost/asio.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;

int main(int argc, char** argv) try {
    const auto port = static_cast<unsigned short>(std::stoi(argv[1]));
    const std::string text = argv[2];
    const int times = argc > 3 ? std::stoi(argv[3]) : 1;
    asio::io_context context;
    for (int i = 0; i < times; ++i) {
        tcp::socket socket(context);
        socket.connect({asio::ip::address_v4::loopback(), port});
        asio::write(socket, asio::buffer(text));
        std::string back(text.size(), '\0');
        asio::read(socket, asio::buffer(back));
        if (back != text) {
            std::cerr << "sent " << text << ", got " << back << "\n";
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
} catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return EXIT_FAILURE;
}
