// A peer that writes anything at any time into what it shares with us.

#include <rung/ipc.hpp>

#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>
#include <thread>

#include "context_fixture.hpp"
#include "ipc_link.hpp"
#include "ipc_processes.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace std::chrono_literals;
using namespace test;
namespace ipc = rung::ipc::detail;

namespace {

const error_code bad_peer = rung::error::bad_peer;

/// A connection to a server without the client's good manners.
struct raw_client {
    explicit raw_client(const std::string& name)
        : connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const auto endpoint = ipc::endpoint_of(name);
        BOOST_REQUIRE(::connect(connection.get(), endpoint.data(),
                                static_cast<socklen_t>(endpoint.size())) == 0);
        descriptors = ipc::receive_setup(connection.get());
    }
    void ring() const {
        const std::uint64_t one = 1;
        BOOST_REQUIRE(::write(descriptors.to_server.get(), &one, sizeof one) == sizeof one);
    }
    ipc::unique_fd connection;
    ipc::setup descriptors;
};

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
        d->asleep = static_cast<std::uint32_t>(some() % 2);
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
        const ipc::memory m = ipc::memory::open(hostile.descriptors.memory.get());
        for (int i = 0; i < 300; ++i) {
            scribble(m, random);
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
    const ipc::memory m = ipc::memory::open(hostile.descriptors.memory.get());
    m.at(3).argument_length = static_cast<std::uint32_t>(m.capacity() + 1);
    m.at(3).state = ipc::slot::submitted;
    m.header().to_server.news[0] = std::uint64_t{1} << 3;
    hostile.ring();
    char byte = 0;
    BOOST_TEST(::recv(hostile.connection.get(), &byte, 1, 0) == 0);  // closed
}

/// A server that sends what it likes; the test plays it.
struct raw_server {
    raw_server() : name(fresh_name()), listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const auto endpoint = ipc::endpoint_of(name);
        BOOST_REQUIRE(
            ::bind(listener.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
        BOOST_REQUIRE(::listen(listener.get(), 4) == 0);
    }
    /// Takes the next client in.
    ipc::unique_fd accept() const {
        return ipc::unique_fd(::accept(listener.get(), nullptr, nullptr));
    }

    std::string name;
    ipc::unique_fd listener;
};

BOOST_AUTO_TEST_CASE(a_client_survives_any_bytes) {
    const time_limit limit;
    running_context loop;
    std::mt19937_64 random(8);
    for (int round = 0; round < 20; ++round) {
        const raw_server hostile;
        auto [m, fd] = ipc::memory::create(8, 128);
        const ipc::unique_fd to_server = ipc::make_event();
        const ipc::unique_fd to_client = ipc::make_event();
        ipc::unique_fd connection;
        std::thread accepts([&, &memory_fd = fd] {
            connection = hostile.accept();
            ipc::send_setup(connection.get(), memory_fd, to_server, to_client);
        });
        rung::ipc::client client(loop.context(), hostile.name);
        accepts.join();
        std::vector<rung::operation<bytes, rung::ipc::progress>> going;
        for (int i = 0; i < 8; ++i) {
            going.push_back(client.start(bytes_of("x")));
        }
        for (int i = 0; i < 300; ++i) {
            scribble(m, random);
            const std::uint64_t one = 1;
            BOOST_REQUIRE(::write(to_client.get(), &one, sizeof one) == sizeof one);
        }
        connection = {};
        for (auto& op : going) {
            BOOST_TEST_REQUIRE(op.wait_for(5s));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_fails_the_operation) {
    const time_limit limit;
    for (const auto& wrong :
         {std::pair(std::uint32_t{ipc::slot::done}, 1'000U), std::pair(77U, 1U)}) {
        running_context loop;
        const raw_server hostile;
        auto [m, fd] = ipc::memory::create(1, 64);
        const ipc::unique_fd to_server = ipc::make_event();
        const ipc::unique_fd to_client = ipc::make_event();
        ipc::unique_fd connection;
        std::thread accepts([&, &memory_fd = fd] {
            connection = hostile.accept();
            ipc::send_setup(connection.get(), memory_fd, to_server, to_client);
        });
        rung::ipc::client client(loop.context(), hostile.name);
        accepts.join();
        auto op = client.start(bytes_of("x"));
        m.at(0).result_length = wrong.second;
        m.at(0).state = wrong.first;
        m.header().to_client.news[0] = 1;
        const std::uint64_t one = 1;
        BOOST_REQUIRE(::write(to_client.get(), &one, sizeof one) == sizeof one);
        op.wait();
        BOOST_TEST(op.error() == bad_peer);
        BOOST_TEST(!client.connected());
    }
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
    const ipc::unique_fd not_memory = ipc::make_event();
    BOOST_TEST(thrown_by([&] { ipc::memory::open(not_memory.get()); }) == bad_peer);
}

}  // namespace
