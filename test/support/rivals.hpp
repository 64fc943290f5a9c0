#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <ostream>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "context_fixture.hpp"
#include "watchdog.hpp"

/// One case, two contexts: what holds on stock Asio must hold on ours, in every mode.
///
///     RUNG_RIVAL_CASE(a_closed_socket_cannot_be_read) {
///         typename Loop::tcp_socket s(loop.context());
///         …
///         loop.run();
///     }
///
/// The body is a function template over the loop's type, so that it is compiled once for each rival
/// and run once for each mode. With two threads in `run()` handlers of one case may run at once:
/// they note what they saw, and the case checks it after `run()`.
#define RUNG_RIVAL_CASE(name)                                \
    template <class Loop>                                    \
    struct name##_body {                                     \
        static void run(Loop& loop);                         \
    };                                                       \
    BOOST_AUTO_TEST_CASE_TEMPLATE(name, Loop, test::loops) { \
        test::in_every_mode<Loop>(&name##_body<Loop>::run);  \
    }                                                        \
    template <class Loop>                                    \
    void name##_body<Loop>::run([[maybe_unused]] Loop& loop)

namespace test {

namespace asio = boost::asio;
using asio::ip::tcp;
using local_stream = asio::local::stream_protocol;
using boost::system::error_code;

/// How many threads run a context, and how many it was told of.
struct mode {
    const char* name;
    int concurrency_hint;
    int threads;
};
inline constexpr std::array<mode, 3> modes{{{"a hint of one thread", 1, 1},
                                            {"no hint and one thread", -1, 1},
                                            {"no hint and two threads", -1, 2}}};

template <class Context>
std::unique_ptr<Context> make_context(const mode& m) {
    return m.concurrency_hint == 1 ? std::make_unique<Context>(1) : std::make_unique<Context>();
}

/// A context, the types of its objects, and threads to run it. It ends without work and without a
/// descriptor left behind.
template <class Context>
class loop {
public:
    using context_type = Context;
    using executor_type = typename Context::executor_type;
    template <class Protocol>
    using socket_of = asio::basic_stream_socket<Protocol, executor_type>;
    template <class Protocol>
    using acceptor_of = asio::basic_socket_acceptor<Protocol, executor_type>;
    template <class Clock, class Traits = asio::wait_traits<Clock>>
    using timer_of = asio::basic_waitable_timer<Clock, Traits, executor_type>;
    using tcp_socket = socket_of<tcp>;
    using tcp_acceptor = acceptor_of<tcp>;
    using local_socket = socket_of<local_stream>;
    using stream = socket_of<asio::generic::stream_protocol>;
    using timer = timer_of<std::chrono::steady_clock>;
    static constexpr bool ours = std::is_same_v<Context, rung::io_context>;

    explicit loop(const mode& m) : loop(m, [&m] { return make_context<Context>(m); }) {}
    /// For a context with other options.
    template <class Make>
    loop(const mode& m, Make make) : mode_(m), descriptors_(open_descriptors()), context_(make()) {}
    ~loop() {
        if (context_ != nullptr) {
            destroy();
        }
        BOOST_TEST(open_descriptors() == descriptors_);
    }
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    Context& context() { return *context_; }
    executor_type executor() { return context_->get_executor(); }
    int threads() const { return mode_.threads; }

    /// Runs the context until it is out of work. Fails the test if that takes too long.
    void run() {
        const watchdog guard([this] { context_->stop(); });
        context_->restart();
        std::vector<std::thread> others;
        for (int i = 1; i < mode_.threads; ++i) {
            others.emplace_back([this] { context_->run(); });
        }
        context_->run();
        for (std::thread& t : others) {
            t.join();
        }
        BOOST_REQUIRE(!guard.expired());
    }

    /// Runs what is ready now.
    void poll() {
        context_->restart();
        context_->poll();
    }

    /// Destroys the context with whatever is pending.
    void destroy() {
        const watchdog guard([] {});
        context_.reset();
    }

private:
    mode mode_;
    std::size_t descriptors_;
    std::unique_ptr<Context> context_;
};

using loops = std::tuple<loop<asio::io_context>, loop<rung::io_context>>;

template <class Loop>
void in_every_mode(void (*body)(Loop&)) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) {
            Loop l(m);
            body(l);
        }
    }
}

/// Runs `f` in every mode of our context, for what stock Asio does otherwise or not at all.
template <class F>
void on_ours(F f) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) {
            loop<rung::io_context> l(m);
            f(l);
        }
    }
}

/// What a handler was called with, and how often.
struct outcome {
    error_code ec;
    std::size_t count = 0;
    int calls = 0;

    bool operator==(const outcome&) const = default;
    friend std::ostream& operator<<(std::ostream& out, const outcome& o) {
        return out << o.calls << " call(s), " << o.ec << " (" << o.ec.message() << "), count "
                   << o.count;
    }
};

/// The outcome of one call.
inline outcome done(std::size_t count = 0) { return {{}, count, 1}; }
inline outcome failed(error_code ec, std::size_t count = 0) { return {ec, count, 1}; }

/// A handler that notes its arguments, which outlive it.
inline auto into(outcome& o) {
    return [&o](error_code ec, std::size_t count = 0) {
        o.ec = ec;
        o.count = count;
        ++o.calls;
    };
}

/// A handler that notes its arguments and the accepted socket.
template <class Socket>
auto into(outcome& o, Socket& peer) {
    return [&](error_code ec, Socket accepted) {
        into(o)(ec);
        peer = std::move(accepted);
    };
}

/// The addresses of loopback that this machine has.
inline std::vector<asio::ip::address> loopbacks() {
    std::vector<asio::ip::address> all{asio::ip::address_v4::loopback()};
    asio::io_context c;
    tcp::socket probe(c, tcp::v4());
    error_code ec;
    probe.close();
    probe.open(tcp::v6(), ec);
    if (!ec && !probe.bind({asio::ip::address_v6::loopback(), 0}, ec)) {
        all.emplace_back(asio::ip::address_v6::loopback());
    }
    return all;
}

/// An acceptor that listens on a free port of loopback.
template <class Loop>
auto listener(Loop& l, const asio::ip::address& a = asio::ip::address_v4::loopback()) {
    return typename Loop::tcp_acceptor(l.context(), tcp::endpoint(a, 0));
}

/// Two TCP sockets connected over loopback.
template <class Loop>
auto tcp_pair(Loop& l, const asio::ip::address& a = asio::ip::address_v4::loopback()) {
    auto acceptor = listener(l, a);
    typename Loop::tcp_socket client(l.context());
    client.connect(acceptor.local_endpoint());
    typename Loop::tcp_socket server = acceptor.accept();
    client.set_option(tcp::no_delay(true));
    server.set_option(tcp::no_delay(true));
    return std::pair(std::move(client), std::move(server));
}

/// Two local stream sockets, connected.
template <class Loop>
auto local_pair(Loop& l) {
    typename Loop::local_socket a(l.context());
    typename Loop::local_socket b(l.context());
    asio::local::connect_pair(a, b);
    return std::pair(std::move(a), std::move(b));
}

/// Runs `body(a, b)` for a pair of connected streams of each kind that this machine has.
template <class Loop, class Body>
void over_every_transport(Loop& l, Body body) {
    using stream = typename Loop::stream;
    for (const asio::ip::address& a : loopbacks()) {
        BOOST_TEST_CONTEXT("TCP over " << a) {
            auto [client, server] = tcp_pair(l, a);
            body(stream(std::move(client)), stream(std::move(server)));
        }
    }
    BOOST_TEST_CONTEXT("local stream") {
        auto [left, right] = local_pair(l);
        body(stream(std::move(left)), stream(std::move(right)));
    }
}

/// Bytes that differ from one place to the next, for finding what was lost or swapped.
inline std::string pattern(std::size_t size) {
    std::string s(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        s[i] = static_cast<char>((i * 2654435761U) >> 11);
    }
    return s;
}

}  // namespace test
