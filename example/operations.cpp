// One operation watched in four ways at once, a race with a time limit, and a picture of it all:
// load operations.json at https://ui.perfetto.dev.
#include <boost/asio.hpp>
#include <iostream>
#include <rung/rung.hpp>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Adds numbers on the pool, and says how far it is.
auto sum(asio::thread_pool& pool, int n) {
    return rung::offload<double>(pool, [n](rung::offload_handle<double>& handle) {
        const rung::trace::span span("sum");
        long total = 0;
        for (int i = 1; i <= n; ++i) {
            handle.throw_if_cancelled();
            total += i;
            handle.set_progress(double(i) / n);
            std::this_thread::sleep_for(100us);
        }
        return total;
    });
}

asio::awaitable<void> await_it(const rung::operation<long, double>& op) {
    std::cout << "coroutine: " << co_await op.async_wait(asio::use_awaitable) << "\n";
}

int main() {
    rung::trace::start();
    asio::thread_pool pool(1);
    rung::io_context context;
    const auto urgent = rung::with_priority(context.get_executor(), rung::priority::high);

    auto op = sum(pool, 100);
    op.async_wait(asio::bind_executor(urgent, [](auto error, long total) {
        std::cout << "urgent callback: " << total << ", " << error.message() << "\n";
    }));
    op.watch(asio::bind_executor(context, [](rung::operation_state state, double part) {
        if (is_final(state)) {
            std::cout << "watcher: " << state << " at " << int(part * 100) << " %\n";
        }
    }));
    asio::co_spawn(context, await_it(op), asio::detached);
    context.run();
    std::cout << "future: " << op.get() << "\n";

    // Whatever wins, the other is cancelled and has ended when the result is there.
    asio::steady_timer limit(context, 5ms);
    auto race = rung::any(sum(pool, 100'000), limit.async_wait(rung::use_operation));
    context.restart();
    context.run();
    std::cout << (race.get().index == 1 ? "the time limit won\n" : "the sum won\n");

    pool.join();
    rung::trace::save("operations.json");
}
