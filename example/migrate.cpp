/// The three steps by which a program moves to rung. Each is compiled and run here, and a program
/// may stop after any of them.

#include <boost/asio.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <rung/rung.hpp>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// The program as it was.
struct before {
    using context = asio::io_context;
    using acceptor = tcp::acceptor;
    using socket = tcp::socket;
    static auto executor(context& c) { return c.get_executor(); }
};

/// Another context. Handlers, strands and coroutines run on rung from here on; stock objects go on
/// working, through Asio's own reactor.
struct step_1 : before {
    using context = rung::io_context;
    static auto executor(context& c) { return c.get_executor(); }
};

/// Native objects, whose operations go through rung's ring.
struct step_2 : step_1 {
    using acceptor = rung::native<tcp::acceptor>;
    using socket = rung::native<tcp::socket>;
};

/// What is urgent says so, and overtakes what is not.
struct step_3 : step_2 {
    static auto executor(context& c) {
        return rung::with_priority(c.get_executor(), rung::priority::high);
    }
};

void check(error_code error) {
    if (error) {
        throw boost::system::system_error(error);
    }
}

/// Sends a line over TCP to itself. Not a word in it changes from step to step.
template <class Names>
void program(const char* title) {
    typename Names::context context;
    const auto executor = Names::executor(context);
    typename Names::acceptor acceptor(executor, {asio::ip::address_v4::loopback(), 0});
    typename Names::socket server(executor);
    typename Names::socket client(executor);
    const std::string sent = "hello\n";
    std::string received;

    acceptor.async_accept(server, [&](error_code error) {
        check(error);
        asio::async_write(server, asio::buffer(sent), [](error_code e, std::size_t) { check(e); });
    });
    client.async_connect(acceptor.local_endpoint(), [&](error_code error) {
        check(error);
        asio::async_read_until(client, asio::dynamic_buffer(received), '\n',
                               [](error_code e, std::size_t) { check(e); });
    });
    context.run();

    std::cout << title << received;
    if constexpr (requires { context.statistics(); }) {
        const rung::statistics s = context.statistics();
        std::cout << "        native operations: " << s.submissions + s.speculated
                  << "; handlers: " << s.handlers[0] << " urgent, " << s.handlers[1] << " normal\n";
    }
    if (received != sent) {
        throw std::runtime_error("the line did not arrive");
    }
}

}  // namespace

int main() try {
    program<before>("before: ");
    program<step_1>("step 1: ");
    program<step_2>("step 2: ");
    program<step_3>("step 3: ");
    return EXIT_SUCCESS;
} catch (const std::exception& e) {
    std::cerr << "migrate: " << e.what() << "\n";
    return EXIT_FAILURE;
}
