// A plug-in that has the library in it. Its test loads many copies.

#include <csignal>

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <chrono>
#include <rung/rung.hpp>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using boost::system::error_code;
using local = asio::local::stream_protocol;

/// Runs a context on a number of threads; gives the number of operations that ended well, of 4.
extern "C" int plugin_work(int threads) {
    rung::io_context context;
    std::atomic<int> ended{0};
    rung::native<local::socket> a(context);
    rung::native<local::socket> b(context);
    asio::local::connect_pair(a, b);
    std::array<char, 4> in{};
    asio::async_read(a, asio::buffer(in), [&](error_code ec, std::size_t) { ended += !ec; });
    rung::native<asio::steady_timer> timer(context, std::chrono::milliseconds(1));
    timer.async_wait([&](error_code ec) {
        ended += !ec;
        b.write_some(asio::buffer("1234", in.size()));
    });
    rung::native<asio::ip::tcp::resolver> resolver(context);
    resolver.async_resolve("localhost", "80", [&](error_code ec, const auto&) { ended += !ec; });
    rung::spawn(context, [&] {
        rung::this_fiber::yield();
        ++ended;
    });
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) {
        others.emplace_back([&] { context.run(); });
    }
    context.run();
    for (std::thread& t : others) {
        t.join();
    }
    return ended;
}

namespace {

struct signal_wait {
    explicit signal_wait(int number) : signals(context, number) {
        signals.async_wait([this](error_code ec, int n) { came = ec ? -1 : n; });
        context.poll();
    }
    rung::io_context context;
    rung::native<asio::signal_set> signals;
    int came = 0;
};

}  // namespace

/// Begins to wait for a signal.
extern "C" void* plugin_await_signal(int number) { return new signal_wait(number); }

/// Ends that; gives the signal that has come.
extern "C" int plugin_signal(void* wait) {
    auto* const w = static_cast<signal_wait*>(wait);
    w->context.run_for(std::chrono::seconds(5));
    const int came = w->came;
    delete w;
    return came;
}
