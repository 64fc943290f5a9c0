// Servers and clients that are killed at any instant: the other side is told at once, and keeps
// nothing of theirs.

#include <rung/ipc.hpp>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "context_fixture.hpp"
#include "ipc_processes.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace std::chrono_literals;
using namespace test;

namespace {

/// What a process has open and mapped of its connections.
struct resources {
    std::size_t descriptors = open_descriptors();
    std::size_t memories = mapped();

    bool operator==(const resources&) const = default;
    friend std::ostream& operator<<(std::ostream& out, const resources& r) {
        return out << r.descriptors << " descriptors, " << r.memories << " memories";
    }

private:
    static std::size_t mapped() {
        std::ifstream maps("/proc/self/maps");
        std::size_t n = 0;
        for (std::string line; std::getline(maps, line);) {
            n += line.find("rung-ipc") != std::string::npos ? 1 : 0;
        }
        return n;
    }
};

/// Whether that is all that there is, once other threads have let go.
bool comes_to(const resources& expected) {
    for (int i = 0; i < 1'000 && resources() != expected; ++i) {
        std::this_thread::sleep_for(1ms);
    }
    return resources() == expected;
}

BOOST_AUTO_TEST_CASE(a_killed_server_abandons_what_is_in_flight) {
    const time_limit limit;
    running_context loop;
    const resources before;
    for (int round = 0; round < 20; ++round) {
        const std::string name = fresh_name();
        server_process server(name);
        rung::ipc::client client(loop.context(), name);
        std::vector<rung::operation<bytes, rung::ipc::progress>> going;
        for (int i = 0; i < 10; ++i) {
            going.push_back(client.start(bytes_of(i % 2 == 0 ? "wait" : "count:1000")));
        }
        std::this_thread::sleep_for(std::chrono::microseconds(round * 300));
        server.kill();
        for (auto& op : going) {
            BOOST_TEST_REQUIRE(op.wait_for(5s));
            BOOST_TEST(op.error() == abandoned);
        }
        BOOST_TEST(client.start(bytes_of("echo:x")).error() == abandoned);
        BOOST_TEST(!client.connected());
    }
    BOOST_TEST(comes_to(before));
}

BOOST_AUTO_TEST_CASE(a_killed_client_leaves_nothing_behind) {
    const time_limit limit;
    const std::string name = fresh_name();
    rung::io_context ctx(1);
    int cancelled = 0;
    std::vector<rung::operation_source<bytes, rung::ipc::progress>> sources;
    const rung::ipc::server server(ctx, name, [&](const bytes&) {
        auto [source, op] = rung::make_operation<bytes, rung::ipc::progress>();
        source.on_cancel([&] { ++cancelled; });
        sources.push_back(std::move(source));
        return std::move(op);
    });
    ctx.poll();
    const resources before;
    constexpr int rounds = 15;
    constexpr int each = 5;
    for (int round = 1; round <= rounds; ++round) {
        child_process process([&] {
            rung::io_context own(1);
            rung::ipc::client client(own, name);
            for (int i = 0; i < each; ++i) {
                client.start(bytes_of("x"));
            }
            own.run();
        });
        while (sources.size() < each * static_cast<std::size_t>(round)) {
            ctx.run_one_for(1s);
        }
        process.kill();
        while (server.clients() != 0) {
            ctx.run_one_for(1s);
        }
        BOOST_TEST(cancelled == each * round);
    }
    for (auto& s : sources) {
        s.set_cancelled();
    }
    ctx.poll();
    BOOST_TEST(resources() == before);
}

BOOST_AUTO_TEST_CASE(clients_that_are_killed_while_they_connect_are_forgotten) {
    const time_limit limit;
    const std::string name = fresh_name();
    running_context loop;
    const rung::ipc::server server(loop.context(), name, service(loop.context()));
    rung::ipc::client honest(loop.context(), name);
    BOOST_TEST_REQUIRE(text_of(honest.start(bytes_of("echo:x")).get()) == "x");
    const resources before;
    constexpr int rounds = 60;
    for (int round = 0; round < rounds; ++round) {
        child_process process([&] {
            for (;;) {
                rung::io_context own(1);
                rung::ipc::client client(own, name);
                for (int i = 0; i < 20; ++i) {
                    auto op = client.start(bytes_of(i % 2 == 0 ? "echo:x" : "count:3"));
                    own.poll();
                }
            }
        });
        std::this_thread::sleep_for(std::chrono::microseconds(round * 100));
        process.kill();
        // Nothing of others is touched.
        const std::string text = "echo:" + std::to_string(round);
        BOOST_TEST_REQUIRE("echo:" + text_of(honest.start(bytes_of(text)).get()) == text);
    }
    BOOST_TEST(comes_to(before));
    BOOST_TEST(server.clients() == 1U);
}

BOOST_AUTO_TEST_CASE(a_server_that_is_killed_while_clients_connect_leaves_none_waiting) {
    const time_limit limit;
    running_context loop;
    const resources before;
    constexpr int rounds = 20;
    for (int round = 0; round < rounds; ++round) {
        const std::string name = fresh_name();
        server_process server(name);
        std::thread killer([&] {
            std::this_thread::sleep_for(std::chrono::microseconds(round * 100));
            server.kill();
        });
        for (bool there = true; there;) {
            try {
                rung::ipc::client client(loop.context(), name);
                auto op = client.start(bytes_of("echo:x"));
                BOOST_TEST_REQUIRE(op.wait_for(5s));
                there = op.state() == state::done;
                BOOST_TEST((there || op.error() == abandoned));
            } catch (const boost::system::system_error&) {
                there = false;  // nobody listens any more, or nobody answers
            }
        }
        killer.join();
    }
    BOOST_TEST(comes_to(before));
}

}  // namespace
