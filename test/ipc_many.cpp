// Several client processes of one server, at the same time.

#include <rung/ipc.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <new>
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

using client_operation = rung::operation<bytes, rung::ipc::progress>;
constexpr std::size_t clients = 4;
constexpr std::size_t each = 8;  // operations of a client at once

/// What the processes of a test tell each other.
struct board {
    std::atomic<std::size_t> ready{0};
    std::array<std::atomic<std::int64_t>, clients * each> told_ns{};  // of the server's death
};

/// A board in memory that forked processes share.
class shared_board {
public:
    shared_board()
        : memory_(::mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0)) {
        BOOST_REQUIRE(memory_ != MAP_FAILED);
        board_ = ::new (memory_) board;
    }
    ~shared_board() { ::munmap(memory_, sizeof(board)); }
    shared_board(const shared_board&) = delete;
    shared_board& operator=(const shared_board&) = delete;
    board* operator->() const noexcept { return board_; }
    board& operator*() const noexcept { return *board_; }

private:
    void* const memory_;
    board* board_ = nullptr;
};

void require(bool holds) {
    if (!holds) {
        throw std::runtime_error("in a client's process");  // which then ends with 1
    }
}

BOOST_AUTO_TEST_CASE(client_processes_get_each_their_own_results) {
    const time_limit limit;
    const std::string name = fresh_name();
    const server_process server(name);
    std::vector<std::unique_ptr<child_process>> processes;
    for (std::size_t c = 0; c < clients; ++c) {
        processes.push_back(std::make_unique<child_process>([&] {
            running_context loop;
            rung::ipc::client client(loop.context(), name);
            for (int round = 0; round < 50; ++round) {
                std::vector<client_operation> going;
                std::vector<std::string> expected;
                for (std::size_t i = 0; i < each; ++i) {
                    expected.push_back(std::to_string(c) + '/' + std::to_string(round * each + i));
                    going.push_back(client.start(bytes_of("echo:" + expected.back())));
                }
                going.push_back(client.start(bytes_of("wait")));
                going.back().cancel();
                for (std::size_t i = 0; i < each; ++i) {
                    require(text_of(going[i].get()) == expected[i]);
                }
                require(going.back().wait() == state::cancelled);
            }
        }));
    }
    for (const auto& p : processes) {
        BOOST_TEST(p->wait() == 0);
    }
}

/// A client whose operations go on until the server dies, and which notes when it was told so.
void outlive_server(const std::string& name, board& shared, std::size_t number) {
    running_context loop;
    rung::ipc::client client(loop.context(), name);
    std::vector<client_operation> going;
    for (std::size_t i = 0; i < each; ++i) {
        going.push_back(client.start(bytes_of(i % 2 == 0 ? "wait" : "count:100000")));
        going.back().async_wait([&, i](error_code ec, const bytes&) {
            if (ec == abandoned) {
                shared.told_ns[number * each + i] = rung::clock::now_ns();
            }
        });
    }
    for (const auto& op : going) {
        while (op.state() != state::running) {
            std::this_thread::sleep_for(1ms);
        }
    }
    ++shared.ready;
    for (const auto& op : going) {
        op.wait();
    }
    require(!client.connected());
}

BOOST_AUTO_TEST_CASE(a_killed_server_is_known_to_be_dead_to_all_its_clients_at_once) {
    const time_limit limit;
    constexpr int rounds = 10;
    std::vector<std::int64_t> delays_us;
    for (int round = 0; round < rounds; ++round) {
        const std::string name = fresh_name();
        const shared_board shared;
        server_process server(name);
        std::vector<std::unique_ptr<child_process>> processes;
        for (std::size_t c = 0; c < clients; ++c) {
            processes.push_back(
                std::make_unique<child_process>([&] { outlive_server(name, *shared, c); }));
        }
        while (shared->ready != clients) {
            std::this_thread::sleep_for(1ms);
        }
        const std::int64_t killed_ns = rung::clock::now_ns();
        server.kill();
        for (const auto& p : processes) {
            BOOST_TEST(p->wait() == 0);
        }
        for (const auto& told_ns : shared->told_ns) {
            BOOST_TEST_REQUIRE(told_ns != 0);
            delays_us.push_back((told_ns - killed_ns) / 1'000);
        }
    }
    std::sort(delays_us.begin(), delays_us.end());
    BOOST_TEST_MESSAGE("abandoned after " << delays_us[delays_us.size() / 2] << " us (median), "
                                          << delays_us.back() << " us (longest)");
    BOOST_TEST(delays_us.back() < 1'000'000);
}

}  // namespace
