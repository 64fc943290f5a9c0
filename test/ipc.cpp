// Operations across processes: what each end of one looks like from the other side.

#include <rung/ipc.hpp>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "allocations.hpp"
#include "context_fixture.hpp"
#include "contexts.hpp"
#include "ipc_link.hpp"
#include "ipc_processes.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;

namespace {

const error_code bad_option = rung::error::bad_option;

/// A server process, a client here, and a thread that runs it.
struct connected {
    explicit connected(rung::ipc::server_options options = {})
        : name(fresh_name()), server(name, options), client(loop.context(), name) {}
    auto start(const std::string& text) { return client.start(bytes_of(text)); }

    const time_limit limit;
    std::string name;
    server_process server;
    running_context loop;
    rung::ipc::client client;
};

BOOST_FIXTURE_TEST_CASE(a_result_comes_back, connected) {
    BOOST_TEST(client.connected());
    for (int i = 0; i < 200; ++i) {
        const std::string text = std::to_string(i);
        BOOST_TEST(text_of(start("echo:" + text).get()) == text);
    }
    BOOST_TEST(start("echo:").get().empty());
}

BOOST_FIXTURE_TEST_CASE(an_error_comes_back, connected) {
    auto failed = start("fail");
    BOOST_TEST(failed.wait() == state::failed);
    BOOST_TEST(failed.error() == error_code(asio::error::access_denied));
    auto thrown = start("throw");
    thrown.wait();
    BOOST_TEST(thrown.error() == error_code(rung::error::exception));
    auto unknown = start("unknown");
    unknown.wait();
    BOOST_TEST(unknown.error() == abandoned);
}

BOOST_FIXTURE_TEST_CASE(progress_comes_across, connected) {
    auto op = start("count:20");
    std::vector<std::uint64_t> seen;
    std::promise<void> told;  // of the end, which op.wait() may see before the function
    op.watch([&](state at, const rung::ipc::progress& p) {
        seen.push_back(p.done);
        if (at == state::done) {
            told.set_value();
        }
    });
    BOOST_TEST(op.wait() == state::done);
    told.get_future().wait();
    BOOST_TEST((op.progress() == rung::ipc::progress{20, 20}));
    BOOST_TEST(seen.size() >= 3U);
    BOOST_TEST(std::is_sorted(seen.begin(), seen.end()));
}

BOOST_FIXTURE_TEST_CASE(cancel_reaches_the_producer, connected) {
    auto op = start("wait");
    while (op.state() != state::running) {
        std::this_thread::yield();
    }
    op.cancel();
    BOOST_TEST(op.wait() == state::cancelled);
    auto at_once = start("wait");
    at_once.cancel();
    BOOST_TEST(at_once.wait() == state::cancelled);
}

BOOST_FIXTURE_TEST_CASE(no_state_is_seen_that_was_not_there, connected) {
    std::atomic<int> running{0};
    const auto watched = [&](const std::string& text) {
        auto op = start(text);
        op.watch(
            [&](state s, const rung::ipc::progress&) { running += s == state::running ? 1 : 0; });
        return op;
    };
    BOOST_TEST(text_of(watched("echo:x").get()) == "x");
    BOOST_TEST(watched("unknown").wait() == state::failed);
    auto staying = watched("stay");
    while (staying.progress().done == 0) {
        std::this_thread::yield();
    }
    BOOST_TEST(staying.state() == state::pending);
    staying.cancel();
    BOOST_TEST(staying.wait() == state::cancelled);
    BOOST_TEST(running == 0);
}

BOOST_FIXTURE_TEST_CASE(many_go_on_at_once, connected) {
    for (int round = 0; round < 10; ++round) {
        std::vector<rung::operation<bytes, rung::ipc::progress>> all;
        for (int i = 0; i < 64; ++i) {
            all.push_back(start(i % 2 == 0 ? "echo:" + std::to_string(i) : "count:2"));
        }
        auto joined = rung::all(std::move(all));
        const auto results = joined.get();
        for (std::size_t i = 0; i < results.size(); ++i) {
            BOOST_TEST(text_of(results[i]) == (i % 2 == 0 ? std::to_string(i) : "counted"));
        }
    }
}

BOOST_AUTO_TEST_CASE(there_are_limits) {
    connected c({.slots = 2, .capacity = 100, .max_clients = 1});
    auto first = c.start("wait");
    auto second = c.start("wait");
    BOOST_TEST(c.start("wait").error() == error_code(asio::error::no_buffer_space));
    first.cancel();
    first.wait();
    BOOST_TEST(text_of(c.start("echo:x").get()) == "x");
    BOOST_TEST(c.client.start(bytes(1'000)).error() == error_code(asio::error::message_size));
    auto large = c.start("large:1000");
    large.wait();
    BOOST_TEST(large.error() == error_code(asio::error::message_size));
    BOOST_TEST(c.start("large:100").get().size() == 100U);
    BOOST_TEST(thrown_by([&] { rung::ipc::client one_more(c.loop.context(), c.name); }) ==
               error_code(asio::error::connection_refused));
    second.cancel();
    second.wait();
}

BOOST_AUTO_TEST_CASE(a_start_that_finds_no_memory_costs_no_slot) {
    connected c({.slots = 1});
    int failures = 0;
    for (std::uint64_t n = 1; n < 100; ++n) {
        rung::operation<bytes, rung::ipc::progress> op;
        rung::detail::recycler::flush();
        fail_allocation(n);
        try {
            op = c.client.start({});
        } catch (const std::bad_alloc&) {
            ++failures;
        }
        fail_allocation(0);
        if (op.valid()) {
            op.wait();
            break;
        }
        BOOST_TEST(text_of(c.start("echo:x").get()) == "x");
    }
    BOOST_TEST((failures >= 2 || !counts_allocations()));  // the operation, and what cancels it
}

BOOST_AUTO_TEST_CASE(an_operation_allocates_its_arguments_and_its_result_alone) {
    const time_limit limit;
    const std::string name = fresh_name();
    rung::io_context ctx(1);  // of both sides, so that both are counted
    const rung::ipc::server server(ctx, name, [](bytes b) {
        auto [source, op] = rung::make_operation<bytes, rung::ipc::progress>();
        source.set_done(std::move(b));
        return std::move(op);
    });
    std::optional<rung::ipc::client> client;
    std::thread connects([&] { client.emplace(ctx, name); });
    while (server.clients() == 0) {
        ctx.run_one_for(1ms);
    }
    connects.join();
    const bytes arguments(16);
    const auto round_trip = [&] {
        auto op = client->start(arguments);
        while (!op.ready()) {
            ctx.run_one();
        }
        return std::move(op).get().size();
    };
    constexpr int times = 50;
    for (int i = 0; i < times; ++i) {
        BOOST_TEST_REQUIRE(round_trip() == 16U);
    }
    const std::uint64_t before = allocations();
    std::size_t received = 0;
    for (int i = 0; i < times; ++i) {
        received += round_trip();
    }
    const std::uint64_t after = allocations();
    BOOST_TEST(received == times * arguments.size());
    BOOST_TEST((after - before == 2U * times || !counts_allocations()));
}

BOOST_AUTO_TEST_CASE(several_clients_have_their_own_operations) {
    connected c;
    running_context other;
    rung::ipc::client second(other.context(), c.name);
    for (int i = 0; i < 50; ++i) {
        auto a = c.start("echo:a");
        auto b = second.start(bytes_of("echo:b"));
        BOOST_TEST(text_of(a.get()) == "a");
        BOOST_TEST(text_of(b.get()) == "b");
    }
}

BOOST_AUTO_TEST_CASE(a_client_that_is_destroyed_abandons_what_it_started) {
    const time_limit limit;
    const std::string name = fresh_name();
    const server_process server(name);
    running_context loop;
    rung::operation<bytes, rung::ipc::progress> op;
    {
        rung::ipc::client client(loop.context(), name);
        op = client.start(bytes_of("wait"));
    }
    BOOST_TEST(op.error() == abandoned);
}

BOOST_AUTO_TEST_CASE(a_stock_context_serves_and_asks_as_well) {
    const time_limit limit;
    const std::string name = fresh_name();
    asio::io_context ctx;
    const rung::ipc::server server(ctx, name, [](bytes b) {
        auto [source, op] = rung::make_operation<bytes, rung::ipc::progress>();
        source.set_done(std::move(b));
        return std::move(op);
    });
    std::thread thread([&] { ctx.run(); });
    {
        running_context loop;
        rung::ipc::client client(loop.context(), name);
        BOOST_TEST(text_of(client.start(bytes_of("stock")).get()) == "stock");
    }
    ctx.stop();
    thread.join();
}

BOOST_AUTO_TEST_CASE(a_stock_context_asks_as_well) {
    const time_limit limit;
    const std::string name = fresh_name();
    const server_process server(name);
    asio::io_context ctx;
    rung::ipc::client client(ctx, name);
    for (int i = 0; i < 50; ++i) {
        auto op = client.start(bytes_of("echo:stock"));
        while (!op.ready()) {
            ctx.run_one();
        }
        BOOST_TEST(text_of(op.get()) == "stock");
    }
}

BOOST_AUTO_TEST_CASE(a_context_may_go_before_what_it_served) {
    const time_limit limit;
    const std::string name = fresh_name();
    rung::operation_source<bytes, rung::ipc::progress> producer;
    std::promise<void> begun;
    running_context loop;
    rung::operation<bytes, rung::ipc::progress> op;
    {
        running_context serving;
        const rung::ipc::server server(serving.context(), name, [&](const bytes&) {
            auto [source, published] = rung::make_operation<bytes, rung::ipc::progress>();
            producer = std::move(source);
            begun.set_value();
            return std::move(published);
        });
        rung::ipc::client client(loop.context(), name);
        op = client.start({});
        begun.get_future().wait();
        producer.set_progress({1, 2});
    }
    op.wait();
    BOOST_TEST(op.error() == abandoned);
    producer.set_done(bytes_of("nobody sees it"));
}

/// Leaves this process without a descriptor that it could open, for the length of a scope.
class no_descriptors {
public:
    no_descriptors() {
        BOOST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const int lowest_free = ::dup(0);
        ::close(lowest_free);
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(lowest_free);
        BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    }
    ~no_descriptors() { lift(); }
    void lift() const { ::setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;

private:
    rlimit before_{};
};

BOOST_AUTO_TEST_CASE_TEMPLATE(a_server_without_descriptors_waits_until_there_are_some, Context,
                              shared_contexts) {
    const time_limit limit;
    const std::string name = fresh_name();
    Context ctx;
    const rung::ipc::server server(ctx, name, [](bytes b) {
        auto [source, op] = rung::make_operation<bytes, rung::ipc::progress>();
        source.set_done(std::move(b));
        return std::move(op);
    });
    const rung::ipc::detail::unique_fd first(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ctx.poll();
    std::optional<no_descriptors> none(std::in_place);
    // An accept that the kernel has already goes by the limit of before; so this one comes first.
    const auto endpoint = rung::ipc::detail::endpoint_of(name);
    BOOST_TEST_REQUIRE(
        ::connect(first.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
    while (server.refused() == 0) {
        ctx.run_for(10ms);
    }
    child_process asks([&] {
        none->lift();
        running_context loop;
        rung::ipc::client client(loop.context(), name);
        if (text_of(client.start(bytes_of("x")).get()) != "x") {
            throw std::runtime_error("no answer");
        }
    });
    while (server.refused() < 3) {
        ctx.run_for(10ms);
    }
    BOOST_TEST(ctx.run_for(350ms) < 20U);  // and not as often as it can
    BOOST_TEST(server.refused() < 10U);
    BOOST_TEST(server.clients() == 0U);
    none.reset();
    ::shutdown(first.get(), SHUT_RDWR);
    std::thread awaits([&] {
        BOOST_TEST(asks.wait() == 0);
        asio::post(ctx, [&] { ctx.stop(); });
    });
    ctx.run();
    awaits.join();
}

BOOST_AUTO_TEST_CASE(a_path_of_a_dead_server_is_taken_over) {
    const std::string path = "/tmp/rung-test-" + std::to_string(::getpid());
    { const server_process dead(path); }
    struct stat status {};
    BOOST_TEST(::stat(path.c_str(), &status) == 0);
    {
        rung::io_context ctx;
        const rung::ipc::server server(ctx, path, service(ctx));
        BOOST_TEST(thrown_by([&] { rung::ipc::server second(ctx, path, service(ctx)); }) ==
                   error_code(asio::error::address_in_use));
    }
    BOOST_TEST(::stat(path.c_str(), &status) != 0);
    rung::io_context ctx;
    BOOST_TEST(thrown_by([&] { rung::ipc::client client(ctx, path); }).failed());
    BOOST_TEST(thrown_by([&] { rung::ipc::server bad(ctx, path, service(ctx), {.slots = 0}); }) ==
               bad_option);
}

}  // namespace
