// A server process that counts, and a client that watches it, cancels, and outlives it.
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <csignal>
#include <iostream>
#include <rung/rung.hpp>
#include <thread>

namespace asio = boost::asio;
namespace ipc = rung::ipc;
using namespace std::chrono_literals;

// Counts to the number that the client sent, one a millisecond.
int serve(const std::string& name, int ready) {
    rung::io_context context;
    asio::thread_pool pool(2);
    const ipc::server server(context, name, [&](const ipc::bytes& arguments) {
        return rung::offload<ipc::progress>(pool, [=](rung::offload_handle<ipc::progress>& handle) {
            const auto total = std::to_integer<std::uint64_t>(arguments.at(0));
            for (std::uint64_t done = 1; done <= total; ++done) {
                handle.throw_if_cancelled();
                std::this_thread::sleep_for(1ms);
                handle.set_progress({done, total});
            }
            return ipc::bytes(arguments);
        });
    });
    context.poll();
    return ::write(ready, "x", 1) == 1 && context.run() != 0 ? 0 : 1;
}

int main() {
    const std::string name = "@rung-example-" + std::to_string(::getpid());
    int ready[2];
    char byte = 0;
    if (::pipe(ready) != 0) {
        return 1;
    }
    const pid_t server = ::fork();
    if (server == 0) {
        ::_exit(serve(name, ready[1]));
    }
    if (::read(ready[0], &byte, 1) != 1) {
        return 1;
    }

    rung::io_context context;
    ipc::client client(context, name);
    std::thread loop([&] { context.run(); });

    auto counting = client.start(ipc::bytes{std::byte{50}});
    while (!counting.wait_for(10ms)) {
        std::cout << counting.progress().done << " of " << counting.progress().total << "\n";
    }
    std::cout << "counted: " << counting.state() << "\n";

    auto cancelled = client.start(ipc::bytes{std::byte{255}});
    cancelled.cancel();
    std::cout << "cancelled: " << cancelled.wait() << "\n";

    auto orphan = client.start(ipc::bytes{std::byte{255}});
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    orphan.wait();
    std::cout << "the server was killed: " << orphan.error().message() << "\n";

    context.stop();
    loop.join();
}
