// A program that Asio's switches for its own back ends are given to: native objects and guests side by
// side, some of them still waiting when their context ends.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

void expect(bool holds, const char* what) {
    if (!holds) {
        std::printf("FAILED: %s\n", what);
        std::exit(1);
    }
}

/// A line goes over TCP and back.
template <class Acceptor, class Socket>
void echo(rung::io_context& context, const char* what) {
    Acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    Socket client(context);
    Socket server(context);
    std::string request;
    std::string answer;
    acceptor.async_accept([&](error_code, Socket accepted) {
        server = std::move(accepted);
        asio::async_read_until(server, asio::dynamic_buffer(request), '\n', [&](auto, auto) {
            asio::async_write(server, asio::buffer(request), [&](auto, auto) { server.close(); });
        });
    });
    client.async_connect(acceptor.local_endpoint(), [&](error_code) {
        asio::async_write(client, asio::buffer("there and back\n", 15), [&](auto, auto) {
            asio::async_read(client, asio::dynamic_buffer(answer), [](auto, auto) {});
        });
    });
    context.restart();
    context.run();
    expect(answer == "there and back\n", what);
}

template <class Timer>
void expire(rung::io_context& context, const char* what) {
    Timer timer(context, milliseconds(2));
    bool expired = false;
    timer.async_wait([&](error_code ec) { expired = !ec; });
    context.restart();
    context.run();
    expect(expired, what);
}

template <class SignalSet>
void catch_signal(rung::io_context& context, int number, const char* what) {
    SignalSet set(context, number);
    int caught = 0;
    set.async_wait([&](error_code, int n) { caught = n; });
    context.restart();
    context.poll();
    std::raise(number);
    context.restart();
    context.run();
    expect(caught == number, what);
}

#if defined(BOOST_ASIO_HAS_FILE)
void read_file(rung::io_context& context) {
    char name[] = "/tmp/rung-file-XXXXXX";
    const int descriptor = ::mkstemp(name);
    expect(::write(descriptor, "0123456789", 10) == 10, "a file to read");
    asio::random_access_file file(context, name, asio::file_base::read_only);
    char bytes[4];
    std::size_t got = 0;
    file.async_read_some_at(3, asio::buffer(bytes), [&](error_code, std::size_t n) { got = n; });
    context.restart();
    context.run();
    ::close(descriptor);
    ::unlink(name);
    expect(got == 4 && std::string(bytes, 4) == "3456", "a file of Asio");
}
#endif

/// Ends a context in which guests wait, one of them owned by its own handler.
void end_with_waiting_guests() {
    rung::io_context context;
    auto owned = std::make_shared<asio::steady_timer>(context, std::chrono::hours(1));
    owned->async_wait([owned](error_code) {});
    owned.reset();
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
#if defined(BOOST_ASIO_NO_EXTENSIONS)
    acceptor.async_accept([](error_code, const tcp::socket&) {});
#else
    tcp::socket peer(context);  // a socket of the operation's own Asio's io_uring destroys too late
    acceptor.async_accept(peer, [](error_code) {});
#endif
    rung::native<asio::steady_timer> native(context, std::chrono::hours(1));
    native.async_wait([](error_code) {});
    context.poll();
}

std::ptrdiff_t threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

/// Shut down before the services of Asio that are older: by then their thread has ended.
struct latest_service : asio::execution_context::service {
    static inline asio::execution_context::id id;
    explicit latest_service(asio::execution_context& context) : service(context) {}
    void shutdown() override {
        // The kernel takes a moment longer than whoever joins a thread.
        for (int i = 0; i < 1000 && threads() > 1; ++i) {
            std::this_thread::sleep_for(milliseconds(1));
        }
        expect(threads() == 1, "Asio's thread ends before its services");
    }
};

/// Ends a context whose guest has done its work.
void end_after_use() {
    rung::io_context context;
    expire<asio::steady_timer>(context, "a guest timer of a context that ends");
    asio::use_service<latest_service>(context);
}

}  // namespace

int main() {
    {
        rung::io_context context;
        expire<asio::steady_timer>(context, "a guest timer");
        expire<rung::native<asio::steady_timer>>(context, "a native timer");
        echo<tcp::acceptor, tcp::socket>(context, "guest sockets");
        echo<rung::native<tcp::acceptor>, rung::native<tcp::socket>>(context, "native sockets");
        echo<rung::native<tcp::acceptor>, tcp::socket>(context, "native and guest sockets");
        catch_signal<asio::signal_set>(context, SIGUSR1, "a guest signal set");
        catch_signal<rung::native<asio::signal_set>>(context, SIGUSR2, "a native signal set");
#if defined(BOOST_ASIO_HAS_FILE)
        read_file(context);
#endif
        tcp::socket taken(rung::native<tcp::socket>(context, tcp::v4()));
        expect(taken.is_open(), "a native socket that became a guest");
    }
    for (int i = 0; i < 20; ++i) {
        end_with_waiting_guests();
        end_after_use();
    }
    std::puts("done");
}
