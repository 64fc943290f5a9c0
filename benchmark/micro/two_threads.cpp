// Two threads in run() of one context: the same program on each system. Handlers that repost
// themselves, which is the price of sharing a queue; and messages between pairs of local sockets,
// which is what servers with several threads do. The time is that of one handler, or of one round
// trip, by the clock on the wall.
#include "system.hpp"
#include "two_cores.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <memory>
#include <thread>
#include <vector>

namespace micro {
namespace {

// Runs a context on two threads until it is out of work.
template <class Context>
void run_on_two(Context& context, const two_cores& cores) {
    std::thread second([&] {
        cores.move_to_second();
        context.run();
    });
    context.run();
    second.join();
    context.restart();
}

constexpr std::int64_t chains = 64;
constexpr std::int64_t links = 1'000;

template <class Executor>
struct chain {
    Executor executor;
    std::int64_t left;

    void operator()() {
        if (--left > 0)
            asio::post(executor, [this] { (*this)(); });
    }
};

template <class System>
void threads_post(System, benchmark::State& state) {
    typename System::context context{2};
    const two_cores cores;
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(chains * links)) {
        std::vector<chain<typename System::executor>> all(chains, {context.get_executor(), links});
        for (auto& c : all)
            asio::post(context, [&c] { c(); });
        run_on_two(context, cores);
        for (const auto& c : all)
            done += static_cast<std::uint64_t>(links - c.left);
    }
    finish(state, done);
    state.SetLabel(wall_time);
}

constexpr std::int64_t pairs = 32;
constexpr std::int64_t trips = 200;

// One message there and back, over and over. The two ends share nothing but the sockets, so that
// each may be with another thread.
template <class System>
class ping_pong {
public:
    explicit ping_pong(typename System::context& context) : near_(context), far_(context) {
        asio::local::connect_pair(near_.socket, far_.socket);
    }
    void start() {
        near_.left = far_.left = trips;
        receive(far_);
        send(near_);
    }
    std::int64_t done() const { return trips - near_.left; }

private:
    struct end {
        explicit end(typename System::context& context) : socket(context) {}
        typename System::socket socket;
        std::int64_t left = 0;
        std::array<char, 64> data{};
    };

    // What fails ends the exchange, and the count is short.
    void send(end& e) {
        asio::async_write(e.socket, asio::buffer(e.data), [this, &e](error_code ec, std::size_t) {
            if (!ec && (&e == &near_ || --e.left > 0))
                receive(e);
        });
    }
    void receive(end& e) {
        asio::async_read(e.socket, asio::buffer(e.data), [this, &e](error_code ec, std::size_t) {
            if (!ec && (&e == &far_ || --e.left > 0))
                send(e);
        });
    }

    end near_;
    end far_;
};

template <class System>
void threads_socketpair(System, benchmark::State& state) {
    typename System::context context{2};
    const two_cores cores;
    std::vector<std::unique_ptr<ping_pong<System>>> all;
    for (std::int64_t i = 0; i < pairs; ++i)
        all.push_back(std::make_unique<ping_pong<System>>(context));
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(pairs * trips)) {
        for (auto& p : all)
            p->start();
        run_on_two(context, cores);
        for (const auto& p : all)
            done += static_cast<std::uint64_t>(p->done());
    }
    finish(state, done);
    state.SetLabel(wall_time);
}

const bool registered =
    register_for<systems>("threads_post",
                          [](auto system, auto& state) { threads_post(system, state); }) &&
    register_for<systems>("threads_socketpair",
                          [](auto system, auto& state) { threads_socketpair(system, state); });

}  // namespace
}  // namespace micro
