#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <rung/rung.hpp>
#include <tuple>
#include <utility>
#include <vector>

/// Objects with an operation that waits, for tests of what becomes of it in the child of a fork.
namespace test {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using local = asio::local::stream_protocol;

struct stock {
    using context = asio::io_context;
    template <class T>
    using of = T;
};
struct guest : stock {
    using context = rung::io_context;
};
struct native {
    using context = rung::io_context;
    template <class T>
    using of = rung::native<T>;
};
using machines = std::tuple<stock, guest, native>;

using handler = std::function<void(error_code)>;

/// An object with an operation that waits.
struct waiting {
    virtual ~waiting() = default;
    virtual void start(handler h) = 0;
    virtual void close() = 0;
    virtual std::size_t cancel() = 0;
    /// Lets the operation end: that of one process, where there are two.
    virtual void trigger() = 0;
};

template <class M>
struct accepting final : waiting {
    explicit accepting(typename M::context& c)
        : acceptor(c, {asio::ip::address_v4::loopback(), 0}), peer(c) {}
    void start(handler h) override { acceptor.async_accept(peer, std::move(h)); }
    void close() override { acceptor.close(); }
    std::size_t cancel() override { return acceptor.cancel(), 0; }
    void trigger() override { clients.emplace_back(own).connect(acceptor.local_endpoint()); }

    typename M::template of<tcp::acceptor> acceptor;
    typename M::template of<tcp::socket> peer;
    asio::io_context own;
    std::vector<tcp::socket> clients;
};

/// A pair of sockets, of which one receives; with `Sends` one sends and finds no room.
template <class M, bool Sends>
struct transferring final : waiting {
    explicit transferring(typename M::context& c) : socket(c), peer(c) {
        asio::local::connect_pair(socket, peer);
        if (Sends) {
            socket.non_blocking(true);
            error_code ec;
            while (!ec) {
                socket.send(asio::buffer(bytes), 0, ec);
            }
        }
    }
    void start(handler h) override {
        auto end = [h](error_code ec, std::size_t) { h(ec); };
        if (Sends) {
            socket.async_send(asio::buffer(bytes), end);
        } else {
            socket.async_receive(asio::buffer(bytes), end);
        }
    }
    void close() override { socket.close(); }
    std::size_t cancel() override { return socket.cancel(), 0; }
    void trigger() override {
        if (!Sends) {
            peer.send(asio::buffer("x", 1));
            return;
        }
        peer.non_blocking(true);
        error_code ec;
        while (!ec) {
            peer.receive(asio::buffer(bytes), 0, ec);
        }
    }

    typename M::template of<local::socket> socket;
    typename M::template of<local::socket> peer;
    std::vector<char> bytes = std::vector<char>(4096);
};
template <class M>
using receiving = transferring<M, false>;
template <class M>
using sending = transferring<M, true>;

template <class M>
struct datagram final : waiting {
    explicit datagram(typename M::context& c)
        : socket(c, {asio::ip::address_v4::loopback(), 0}), sender(own, udp::v4()) {}
    void start(handler h) override {
        socket.async_receive_from(asio::buffer(byte), from,
                                  [h](error_code ec, std::size_t) { h(ec); });
    }
    void close() override { socket.close(); }
    std::size_t cancel() override { return socket.cancel(), 0; }
    void trigger() override { sender.send_to(asio::buffer("x", 1), socket.local_endpoint()); }

    typename M::template of<udp::socket> socket;
    asio::io_context own;
    udp::socket sender;
    udp::endpoint from;
    std::array<char, 1> byte{};
};

template <class M>
struct reading_pipe final : waiting {
    explicit reading_pipe(typename M::context& c) : out(c), in(c) {
        int ends[2];
        BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        out.assign(ends[0]);
        in.assign(ends[1]);
    }
    void start(handler h) override {
        out.async_read_some(asio::buffer(byte), [h](error_code ec, std::size_t) { h(ec); });
    }
    void close() override { out.close(); }
    std::size_t cancel() override { return out.cancel(), 0; }
    void trigger() override { in.write_some(asio::buffer("x", 1)); }

    typename M::template of<asio::posix::stream_descriptor> out;
    typename M::template of<asio::posix::stream_descriptor> in;
    std::array<char, 1> byte{};
};

template <class M>
struct timing final : waiting {
    explicit timing(typename M::context& c) : timer(c) {
        timer.expires_after(std::chrono::hours(1));
    }
    void start(handler h) override { timer.async_wait(std::move(h)); }
    void close() override { timer.cancel(); }
    std::size_t cancel() override { return timer.cancel(); }
    void trigger() override {}  // cancelled where it is to end

    typename M::template of<asio::steady_timer> timer;
};

template <class M>
struct signalled final : waiting {
    explicit signalled(typename M::context& c) : signals(c, SIGUSR1) {}
    void start(handler h) override {
        signals.async_wait([h](error_code ec, int) { h(ec); });
    }
    void close() override { signals.clear(); }
    std::size_t cancel() override { return signals.cancel(), 0; }
    void trigger() override { ::raise(SIGUSR1); }

    typename M::template of<asio::signal_set> signals;
};

/// What a child does, and how it ends.
template <class F>
int end_of_child(F f) {
    const pid_t id = ::fork();
    BOOST_REQUIRE(id != -1);
    if (id == 0) {
        ::alarm(5);
        try {
            ::_exit(f() ? 0 : 1);
        } catch (...) {
            ::_exit(2);
        }
    }
    int status = -1;
    BOOST_TEST(::waitpid(id, &status, 0) == id);
    return status;
}

}  // namespace test
