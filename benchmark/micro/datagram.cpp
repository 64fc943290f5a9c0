// 64 bytes there and back, in one thread: as UDP datagrams over loopback, to addresses, between one
// client or 32 and one server; and through a pair of pipes. The time is that of a round trip.
#include "system.hpp"

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/basic_readable_pipe.hpp>
#include <boost/asio/basic_writable_pipe.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <deque>
#include <stdexcept>

namespace micro {
namespace {

using asio::ip::udp;
using message = std::array<char, 64>;
constexpr std::int64_t batch = 512;

// What fails leaves run() and ends the run.
void expect_whole(error_code error, std::size_t size) {
    if (error)
        throw boost::system::system_error(error);
    if (size != message{}.size())
        throw std::runtime_error("a message was split");
}

template <class System>
using udp_socket = asio::basic_datagram_socket<udp, typename System::executor>;

const udp::endpoint anywhere{asio::ip::address_v4::loopback(), 0};

template <class System>
struct udp_server {
    udp_socket<System> socket;
    std::int64_t left = 0;
    udp::endpoint client{};
    message buffer{};

    void receive() {
        if (left-- == 0)
            return;
        socket.async_receive_from(asio::buffer(buffer), client,
                                  [this](error_code error, std::size_t size) {
                                      expect_whole(error, size);
                                      answer();
                                  });
    }
    void answer() {
        socket.async_send_to(asio::buffer(buffer), client,
                             [this](error_code error, std::size_t size) {
                                 expect_whole(error, size);
                                 receive();
                             });
    }
};

template <class System>
struct udp_client {
    udp_socket<System> socket;
    udp::endpoint server;
    std::uint64_t& done;
    std::int64_t left = 0;
    udp::endpoint sender{};
    message buffer{};

    void ask() {
        socket.async_send_to(asio::buffer(buffer), server,
                             [this](error_code error, std::size_t size) {
                                 expect_whole(error, size);
                                 listen();
                             });
    }
    void listen() {
        socket.async_receive_from(asio::buffer(buffer), sender,
                                  [this](error_code error, std::size_t size) {
                                      expect_whole(error, size);
                                      ++done;
                                      if (--left > 0)
                                          ask();
                                  });
    }
};

template <class System>
void udp_echo(benchmark::State& state, std::int64_t clients) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    udp_server<System> server{udp_socket<System>(executor, anywhere)};
    std::uint64_t done = 0;
    std::deque<udp_client<System>> all;
    for (std::int64_t i = 0; i < clients; ++i)
        all.push_back({udp_socket<System>(executor, anywhere), server.socket.local_endpoint(), done});
    while (state.KeepRunningBatch(batch)) {
        server.left = batch;
        server.receive();
        for (auto& client : all) {
            client.left = batch / clients;
            client.ask();
        }
        context.run();
        context.restart();
    }
    finish(state, done);
}

template <class System>
struct pipe_end {
    using executor = typename System::executor;
    asio::basic_readable_pipe<executor> in;
    asio::basic_writable_pipe<executor> out;
    std::uint64_t* done = nullptr;
    std::int64_t left = 0;
    message buffer{};

    explicit pipe_end(const executor& ex) : in(ex), out(ex) {}

    void read() {
        in.async_read_some(asio::buffer(buffer), [this](error_code error, std::size_t size) {
            expect_whole(error, size);
            if (done != nullptr)
                ++*done;
            if (done == nullptr || --left > 0)
                write();
        });
    }
    void write() {
        out.async_write_some(asio::buffer(buffer), [this](error_code error, std::size_t size) {
            expect_whole(error, size);
            if (done != nullptr || --left >= 0)
                read();
        });
    }
};

template <class System>
void pipes(benchmark::State& state) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    pipe_end<System> near{executor}, far{executor};
    asio::connect_pipe(near.in, far.out);
    asio::connect_pipe(far.in, near.out);
    std::uint64_t done = 0;
    near.done = &done;
    while (state.KeepRunningBatch(batch)) {
        near.left = batch;
        far.left = batch - 1;
        far.read();
        near.write();
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered =
    register_for<systems_alone>("udp_echo_1",
                                [](auto system, auto& state) {
                                    udp_echo<decltype(system)>(state, 1);
                                }) &&
    register_for<systems_alone>("udp_echo_32",
                                [](auto system, auto& state) {
                                    udp_echo<decltype(system)>(state, 32);
                                }) &&
    register_for<systems_alone>("pipe_pair", [](auto system, auto& state) {
        pipes<decltype(system)>(state);
    });

}  // namespace
}  // namespace micro
