// Where servers listen: what they find at their path, and what they leave there.

#include <rung/ipc.hpp>

#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "context_fixture.hpp"
#include "ipc_link.hpp"
#include "ipc_processes.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;
using rung::ipc::detail::endpoint_of;
using rung::ipc::detail::unique_fd;

namespace {

const error_code in_use = asio::error::address_in_use;

/// A path of this test's own, without anything there at the beginning and at the end.
struct free_path {
    free_path() { ::unlink(path.c_str()); }
    ~free_path() { ::unlink(path.c_str()); }
    bool is_there() const {
        struct stat status {};
        return ::lstat(path.c_str(), &status) == 0;
    }
    /// What listens there, or cannot.
    error_code error_of_server() const {
        rung::io_context ctx(1);
        return thrown_by([&] { const rung::ipc::server server(ctx, path, service(ctx)); });
    }

    const time_limit limit;
    const std::string path = "/tmp/rung-address-" + std::to_string(::getpid());
};

unique_fd bound_to(const std::string& path) {
    unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto endpoint = endpoint_of(path);
    BOOST_REQUIRE(::bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
    return fd;
}

BOOST_FIXTURE_TEST_CASE(a_file_that_is_no_socket_is_left_alone, free_path) {
    std::ofstream(path) << "somebody's work";
    BOOST_TEST(error_of_server() == in_use);
    std::string text;
    std::getline(std::ifstream(path), text);
    BOOST_TEST(text == "somebody's work");
}

BOOST_FIXTURE_TEST_CASE(a_link_to_nowhere_is_left_alone, free_path) {
    BOOST_REQUIRE(::symlink("/nowhere/at/all", path.c_str()) == 0);
    BOOST_TEST(error_of_server() == in_use);
    BOOST_TEST(is_there());
}

BOOST_FIXTURE_TEST_CASE(a_socket_without_a_process_is_taken_over, free_path) {
    { const unique_fd dead = bound_to(path); }
    BOOST_TEST(is_there());
    BOOST_TEST(error_of_server() == no_error);
    BOOST_TEST(!is_there());
}

BOOST_FIXTURE_TEST_CASE(a_listener_whose_queue_is_full_holds_nobody_up, free_path) {
    const unique_fd busy = bound_to(path);
    BOOST_REQUIRE(::listen(busy.get(), 0) == 0);
    std::vector<unique_fd> waiting;
    const auto endpoint = endpoint_of(path);
    int result = 0;
    while (result == 0) {
        waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        result = ::connect(waiting.back().get(), endpoint.data(),
                           static_cast<socklen_t>(endpoint.size()));
    }
    BOOST_TEST(error_of_server() == in_use);
    BOOST_TEST(is_there());
}

/// Of several servers that start at the same time, how many listened, and how many answered.
struct race {
    std::atomic<int> tried{0};
    std::atomic<int> listened{0};
    std::atomic<int> refused{0};
    std::atomic<int> answered{0};

    void take_part(const std::string& path, int rivals) {
        rung::io_context ctx(1);
        std::optional<rung::ipc::server> server;
        const error_code ec = thrown_by([&] { server.emplace(ctx, path, service(ctx)); });
        listened += server ? 1 : 0;
        refused += ec == in_use ? 1 : 0;
        ++tried;
        while (tried != rivals) {
            ctx.poll();
            std::this_thread::sleep_for(1ms);
        }
        if (server) {
            answer(ctx, path);
        }
    }

private:
    void answer(rung::io_context& ctx, const std::string& path) {
        std::atomic<bool> over{false};
        std::thread asks([&] {
            running_context loop;
            rung::ipc::client client(loop.context(), path);
            answered += text_of(client.start(bytes_of("echo:x")).get()) == "x" ? 1 : 0;
            over = true;
        });
        while (!over) {
            ctx.run_one_for(1ms);
        }
        asks.join();
    }
};

BOOST_FIXTURE_TEST_CASE(of_servers_that_start_together_one_gets_the_path, free_path) {
    constexpr int rounds = 5;
    constexpr int rivals = 4;
    for (int round = 0; round < rounds; ++round) {
        { const unique_fd dead = bound_to(path); }
        race r;
        std::vector<std::thread> threads;
        for (int i = 0; i < rivals; ++i) {
            threads.emplace_back([&] { r.take_part(path, rivals); });
        }
        for (std::thread& t : threads) {
            t.join();
        }
        BOOST_TEST(r.listened == 1);
        BOOST_TEST(r.refused == rivals - 1);
        BOOST_TEST(r.answered == 1);
        BOOST_TEST(!is_there());
    }
}

BOOST_FIXTURE_TEST_CASE(a_server_removes_its_own_file_only, free_path) {
    rung::io_context ctx(1);
    {
        std::optional<rung::ipc::server> first(std::in_place, ctx, path, service(ctx));
        ::unlink(path.c_str());  // as an administrator may
        const rung::ipc::server second(ctx, path, service(ctx));
        first.reset();
        ctx.poll();
        BOOST_TEST(is_there());
    }
    ctx.restart();
    ctx.poll();
    BOOST_TEST(!is_there());
}

BOOST_FIXTURE_TEST_CASE(a_context_that_goes_first_takes_the_file_along, free_path) {
    auto ctx = std::make_unique<rung::io_context>(1);
    auto server = std::make_unique<rung::ipc::server>(*ctx, path, service(*ctx));
    ctx->poll();
    server.reset();
    ctx.reset();
    BOOST_TEST(!is_there());
}

}  // namespace
