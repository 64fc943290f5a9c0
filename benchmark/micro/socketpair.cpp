// 64 bytes there and back over a pair of local stream sockets, both ends in one thread; the time
// is that of a round trip. The bare ring sends and receives in one call, and the receive finds its
// bytes there: the cheapest order that exists.
#include "raw_ring.hpp"
#include "system.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/system/system_error.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <stdexcept>

namespace micro {
namespace {

constexpr std::size_t message_size = 64;
constexpr std::int64_t batch = 500;

using message = std::array<char, message_size>;

// A local stream socket never splits so small a message. What fails leaves run() and ends the run.
void expect_whole(error_code error, std::size_t size) {
    if (error)
        throw boost::system::system_error(error);
    if (size != message_size)
        throw std::runtime_error("a message was split");
}

template <class System>
struct callback_client {
    typename System::socket& socket;
    std::uint64_t& done;
    std::int64_t left = batch;
    message buffer{};

    void send() {
        socket.async_write_some(asio::buffer(buffer), [this](error_code error, std::size_t size) {
            expect_whole(error, size);
            receive();
        });
    }
    void receive() {
        socket.async_read_some(asio::buffer(buffer), [this](error_code error, std::size_t size) {
            expect_whole(error, size);
            ++done;
            if (--left > 0)
                send();
        });
    }
};

template <class System>
struct callback_server {
    typename System::socket& socket;
    std::int64_t left = batch;
    message buffer{};

    void receive() {
        socket.async_read_some(asio::buffer(buffer), [this](error_code error, std::size_t size) {
            expect_whole(error, size);
            send();
        });
    }
    void send() {
        socket.async_write_some(asio::buffer(buffer), [this](error_code error, std::size_t size) {
            expect_whole(error, size);
            if (--left > 0)
                receive();
        });
    }
};

template <class System>
void socketpair_callback(System, benchmark::State& state) {
    typename System::context context{System::alone};
    typename System::socket near{context.get_executor()}, far{context.get_executor()};
    asio::local::connect_pair(near, far);
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        callback_server<System> server{far};
        callback_client<System> client{near, done};
        server.receive();
        client.send();
        context.run();
        context.restart();
    }
    finish(state, done);
}

template <class System>
typename System::awaitable run_client(typename System::socket& socket, std::uint64_t& done) {
    message buffer{};
    for (std::int64_t i = 0; i < batch; ++i) {
        expect_whole({},
                     co_await socket.async_write_some(asio::buffer(buffer), System::use_awaitable));
        expect_whole({},
                     co_await socket.async_read_some(asio::buffer(buffer), System::use_awaitable));
        ++done;
    }
}

template <class System>
typename System::awaitable run_server(typename System::socket& socket) {
    message buffer{};
    for (std::int64_t i = 0; i < batch; ++i) {
        expect_whole({},
                     co_await socket.async_read_some(asio::buffer(buffer), System::use_awaitable));
        expect_whole({},
                     co_await socket.async_write_some(asio::buffer(buffer), System::use_awaitable));
    }
}

// As asio::detached, but a failure leaves run().
constexpr auto rethrow = [](std::exception_ptr failure) {
    if (failure)
        std::rethrow_exception(failure);
};

template <class System>
void socketpair_coroutine(System, benchmark::State& state) {
    typename System::context context{System::alone};
    const auto executor = context.get_executor();
    typename System::socket near{executor}, far{executor};
    asio::local::connect_pair(near, far);
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        asio::co_spawn(executor, run_server<System>(far), rethrow);
        asio::co_spawn(executor, run_client<System>(near, done), rethrow);
        context.run();
        context.restart();
    }
    finish(state, done);
}

// One way: both entries in one call.
void carry(raw_ring& ring, int from, int to, message& buffer) {
    io_uring_prep_send(ring.entry(), from, buffer.data(), buffer.size(), 0);
    io_uring_prep_recv(ring.entry(), to, buffer.data(), buffer.size(), 0);
    unsigned reaped = 0;
    while (reaped < 2)
        reaped += ring.submit_and_reap(2 - reaped, [](const io_uring_cqe& cqe) {
            raw_ring::check("a transfer", cqe.res);
            expect_whole({}, static_cast<std::size_t>(cqe.res));
        });
}

// The same without a ring, which is what trying the system call first comes to.
void carry(int from, int to, message& buffer) {
    const auto sent = ::send(from, buffer.data(), buffer.size(), 0);
    raw_ring::check("send", sent < 0 ? -errno : 0);
    const auto received = ::recv(to, buffer.data(), buffer.size(), 0);
    raw_ring::check("recv", received < 0 ? -errno : 0);
    expect_whole({}, static_cast<std::size_t>(received));
}

struct descriptor_pair {
    int ends[2] = {-1, -1};
    descriptor_pair() {
        raw_ring::check("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 ? -errno : 0);
    }
    descriptor_pair(const descriptor_pair&) = delete;
    descriptor_pair& operator=(const descriptor_pair&) = delete;
    ~descriptor_pair() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
};

// carry_one(from, to, buffer) moves one message.
template <class Carry>
void there_and_back(benchmark::State& state, Carry carry_one) {
    const descriptor_pair pair;
    message buffer{};
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(1)) {
        carry_one(pair.ends[0], pair.ends[1], buffer);
        carry_one(pair.ends[1], pair.ends[0], buffer);
        ++done;
    }
    finish(state, done);
}

void socketpair_raw(benchmark::State& state, unsigned flags) {
    raw_ring ring{8, flags};
    there_and_back(state,
                   [&](int from, int to, message& buffer) { carry(ring, from, to, buffer); });
}

void socketpair_syscalls(benchmark::State& state) {
    there_and_back(state, [](int from, int to, message& buffer) { carry(from, to, buffer); });
}

const bool registered = register_for<systems_alone>(
                            "socketpair_callback",
                            [](auto system, auto& state) { socketpair_callback(system, state); }) &&
                        register_for<guest_systems>(
                            "guest_socketpair",
                            [](auto system, auto& state) { socketpair_callback(system, state); }) &&
                        register_for<systems_alone>(
                            "socketpair_coroutine",
                            [](auto system, auto& state) { socketpair_coroutine(system, state); });

// The floor of both styles, in the better of the two modes; beside it the other one, and the plain
// system calls.
bool register_floor(const std::string& workload) {
    return register_raw(workload + "/raw",
                        [](auto& state) { socketpair_raw(state, coop_flags); }) &&
           register_raw(workload + "/raw/defer",
                        [](auto& state) { socketpair_raw(state, defer_flags); }) &&
           register_raw(workload + "/raw/syscalls",
                        [](auto& state) { socketpair_syscalls(state); });
}

const bool registered_floors =
    register_floor("socketpair_callback") && register_floor("socketpair_coroutine");

}  // namespace
}  // namespace micro
