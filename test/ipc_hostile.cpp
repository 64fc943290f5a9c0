// A peer that writes anything at any time into what it shares with us.

#include <rung/ipc.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include "context_fixture.hpp"
#include "futex.hpp"
#include "ipc_link.hpp"
#include "ipc_processes.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace std::chrono_literals;
using namespace test;
namespace ipc = rung::ipc::detail;

namespace {

const error_code bad_peer = rung::error::bad_peer;

/// Wakes whoever reads a direction, in each way in which it may sleep.
void wake(ipc::direction& d, const ipc::unique_fd& connection) {
    rung::detail::futex_wake(&d.asleep, 1, rung::detail::futex_scope::shared);
    static_cast<void>(::send(connection.get(), "", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/// A connection to a server without the client's good manners.
struct raw_client {
    explicit raw_client(const std::string& name)
        : connection(connect_to(name)),
          shared(ipc::memory::open(ipc::receive_memory(connection.get()).get())) {}
    void ring() const { wake(shared.header().to_server, connection); }

    static ipc::unique_fd connect_to(const std::string& name) {
        ipc::unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto endpoint = ipc::endpoint_of(name);
        BOOST_REQUIRE(
            ::connect(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
        return fd;
    }

    ipc::unique_fd connection;
    ipc::memory shared;
};

/// A server that sends what it likes; the test plays it.
struct raw_server {
    raw_server() : name(fresh_name()), listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const auto endpoint = ipc::endpoint_of(name);
        BOOST_REQUIRE(
            ::bind(listener.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
        BOOST_REQUIRE(::listen(listener.get(), 0) == 0);
    }
    /// Takes the next client in.
    ipc::unique_fd accept() const {
        return ipc::unique_fd(::accept(listener.get(), nullptr, nullptr));
    }

    std::string name;
    ipc::unique_fd listener;
};

/// A client of a hostile server, which has sent it memory as it should be.
struct deceived {
    deceived(std::size_t slots, std::size_t capacity)
        : deceived(ipc::memory::create(slots, capacity)) {}

    /// Has the client look at its memory.
    void ring() const { wake(shared.header().to_client, connection); }

    running_context loop;
    raw_server server;
    ipc::memory shared;
    ipc::unique_fd connection;
    std::optional<rung::ipc::client> client;

private:
    explicit deceived(std::pair<ipc::memory, ipc::unique_fd> made) : shared(std::move(made.first)) {
        std::thread accepts([&] {
            connection = server.accept();
            ipc::send_memory(connection.get(), made.second);
        });
        client.emplace(loop.context(), server.name);
        accepts.join();
    }
};

/// Sends a message with that many descriptors.
void send_descriptors(int connection, std::size_t n) {
    alignas(cmsghdr) char control[256] = {};
    char byte = 'r';
    iovec part{&byte, 1};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(n * sizeof(int));
    cmsghdr* const c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    for (std::size_t i = 0; i < n; ++i) {
        std::memcpy(CMSG_DATA(c) + i * sizeof(int), &connection, sizeof connection);
    }
    BOOST_REQUIRE(::sendmsg(connection, &header, MSG_NOSIGNAL) == 1);
}

/// Overwrites most of what the slots and directions consist of with values of every size.
void scribble(const ipc::memory& m, std::mt19937_64& random) {
    const auto some = [&]() -> std::uint64_t {
        const std::uint64_t r = random();
        return r % 4 == 0 ? r % 8 : r % 4 == 1 ? std::uint64_t{0xffff'ffff} - r % 4 : r;
    };
    ipc::slot& s = m.at(random() % m.slots());
    s.state = static_cast<std::uint32_t>(some() % 9);
    s.cancel = static_cast<std::uint32_t>(some());
    s.argument_length = static_cast<std::uint32_t>(some() % 2 == 0 ? some() : some() % 100);
    s.result_length = static_cast<std::uint32_t>(some());
    s.error_category = static_cast<std::uint32_t>(some());
    s.error_value = static_cast<std::int32_t>(some());
    s.progress_number = some();
    s.progress_done = some();
    for (ipc::direction* d : {&m.header().to_server, &m.header().to_client}) {
        d->news[random() % ipc::direction::words] = some();
        d->asleep = static_cast<std::uint32_t>(some() % 4);
    }
    if (random() % 4 == 0) {
        m.header().slots = static_cast<std::uint32_t>(some());
        m.header().capacity = static_cast<std::uint32_t>(some());
    }
}

BOOST_AUTO_TEST_CASE(a_server_survives_any_bytes_and_serves_others) {
    const time_limit limit;
    const std::string name = fresh_name();
    running_context serving;
    const rung::ipc::server server(serving.context(), name, service(serving.context()));
    running_context loop;
    rung::ipc::client honest(loop.context(), name);
    std::mt19937_64 random(7);
    for (int round = 0; round < 20; ++round) {
        const raw_client hostile(name);
        for (int i = 0; i < 300; ++i) {
            scribble(hostile.shared, random);
            hostile.ring();
        }
        if (round % 2 == 0) {
            const char noise[64] = {};
            static_cast<void>(::send(hostile.connection.get(), noise, sizeof noise, MSG_NOSIGNAL));
        }
        BOOST_TEST_REQUIRE(text_of(honest.start(bytes_of("echo:sound")).get()) == "sound");
    }
    while (server.clients() != 1) {
        std::this_thread::yield();
    }
}

BOOST_AUTO_TEST_CASE(a_length_that_cannot_be_ends_the_connection) {
    const time_limit limit;
    const std::string name = fresh_name();
    running_context serving;
    const rung::ipc::server server(serving.context(), name, service(serving.context()));
    const raw_client hostile(name);
    const ipc::memory& m = hostile.shared;
    m.at(3).argument_length = static_cast<std::uint32_t>(m.capacity() + 1);
    m.at(3).state = ipc::slot::submitted;
    m.header().to_server.news[0] = std::uint64_t{1} << 3;
    hostile.ring();
    char byte = 0;
    BOOST_TEST(::recv(hostile.connection.get(), &byte, 1, 0) == 0);  // closed
}

BOOST_AUTO_TEST_CASE(a_client_survives_any_bytes) {
    const time_limit limit;
    std::mt19937_64 random(8);
    for (int round = 0; round < 20; ++round) {
        deceived d(8, 128);
        std::vector<rung::operation<bytes, rung::ipc::progress>> going;
        for (int i = 0; i < 8; ++i) {
            going.push_back(d.client->start(bytes_of("x")));
        }
        for (int i = 0; i < 300; ++i) {
            scribble(d.shared, random);
            d.ring();
        }
        d.connection = {};
        for (auto& op : going) {
            BOOST_TEST_REQUIRE(op.wait_for(5s));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_fails_the_operation) {
    const time_limit limit;
    for (const auto& wrong :
         {std::pair(std::uint32_t{ipc::slot::done}, 1'000U), std::pair(77U, 1U)}) {
        deceived d(1, 64);
        auto op = d.client->start(bytes_of("x"));
        d.shared.at(0).result_length = wrong.second;
        d.shared.at(0).state = wrong.first;
        d.shared.header().to_client.news[0] = 1;
        d.ring();
        op.wait();
        BOOST_TEST(op.error() == bad_peer);
        BOOST_TEST(!d.client->connected());
    }
}

BOOST_AUTO_TEST_CASE(a_peer_that_does_not_read_holds_nobody_up) {
    const time_limit limit;
    constexpr std::size_t many = 1'024;  // bytes, each of its own, are more than a socket takes
    deceived d(many, 64);
    std::vector<rung::operation<bytes, rung::ipc::progress>> going;
    for (std::size_t i = 0; i < many; ++i) {
        d.shared.header().to_server.asleep = ipc::direction::on_socket;
        going.push_back(d.client->start({}));
    }
    BOOST_TEST(d.client->connected());
    d.connection = {};
    BOOST_TEST((going.back().wait() == state::failed));
}

BOOST_AUTO_TEST_CASE(a_server_that_takes_nobody_is_given_up) {
    const time_limit limit;
    const raw_server deaf;
    const ipc::unique_fd waiting = raw_client::connect_to(deaf.name);  // fills its queue
    rung::io_context ctx;
    BOOST_TEST(thrown_by([&] { const rung::ipc::client client(ctx, deaf.name); }) ==
               error_code(boost::asio::error::timed_out));
}

BOOST_AUTO_TEST_CASE(a_server_that_sends_something_else_is_refused) {
    const time_limit limit;
    const auto code_for = [](auto answer) {
        const raw_server hostile;
        std::thread accepts([&] {
            const ipc::unique_fd connection = hostile.accept();
            answer(connection.get());
        });
        rung::io_context ctx;
        const error_code seen =
            thrown_by([&] { const rung::ipc::client client(ctx, hostile.name); });
        accepts.join();
        return seen;
    };
    const auto before = open_descriptors();
    BOOST_TEST(code_for([](int) {}) == error_code(boost::asio::error::connection_refused));
    BOOST_TEST(code_for([](int fd) { ::send(fd, "x", 1, 0); }) == bad_peer);
    BOOST_TEST(code_for([](int fd) {
                   const ipc::unique_fd other(::open("/dev/null", O_RDWR | O_CLOEXEC));
                   ipc::send_memory(fd, other);
               }) == bad_peer);
    BOOST_TEST(code_for([](int fd) { send_descriptors(fd, 3); }) == bad_peer);
    BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(a_client_refuses_memory_that_cannot_be) {
    const auto code_for = [](auto spoil) {
        auto [m, fd] = ipc::memory::create(8, 128);
        spoil(m);
        return thrown_by([&, &memory_fd = fd] { ipc::memory::open(memory_fd.get()); });
    };
    BOOST_TEST(code_for([](const ipc::memory&) {}) == no_error);
    BOOST_TEST(code_for([](const ipc::memory& m) { m.header().slots = 9; }) == bad_peer);
    BOOST_TEST(code_for([](const ipc::memory& m) { m.header().slots = 0; }) == bad_peer);
    BOOST_TEST(code_for([](const ipc::memory& m) { m.header().slots = ~0U; }) == bad_peer);
    BOOST_TEST(code_for([](const ipc::memory& m) { m.header().capacity = ~0U; }) == bad_peer);
    BOOST_TEST(code_for([](const ipc::memory& m) { m.header().magic = 1; }) == bad_peer);
    const auto code_of_memory = [](int fd) {
        const ipc::unique_fd owned(fd);
        return thrown_by([&] { ipc::memory::open(owned.get()); });
    };
    BOOST_TEST(code_of_memory(::open("/dev/null", O_RDWR | O_CLOEXEC)) == bad_peer);
    BOOST_TEST(code_of_memory(::memfd_create("unsealed", MFD_CLOEXEC)) == bad_peer);
    BOOST_TEST(code_of_memory(-1) == bad_peer);
}

}  // namespace
