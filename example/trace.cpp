// A picture of a loop at work: urgent ticks, fibers that talk to each other, background work at low
// priority, and operations on a pool. Load trace.json at https://ui.perfetto.dev: each thread has a
// track for each priority, and each fiber and operation one of its own.
#include <boost/asio.hpp>
#include <iostream>
#include <rung/rung.hpp>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pair_socket = rung::native<asio::local::stream_protocol::socket>;

void compute(std::chrono::microseconds length) {
    const auto end = std::chrono::steady_clock::now() + length;
    while (std::chrono::steady_clock::now() < end) {
    }
}

// Asks ten times and waits for each answer: turns of a fiber, within one span.
void ask(pair_socket& socket) {
    const rung::trace::span span("ten questions");
    char answer[8];
    for (int i = 0; i < 10; ++i) {
        asio::async_write(socket, asio::buffer("question", 8), rung::use_fiber);
        asio::async_read(socket, asio::buffer(answer), rung::use_fiber);
    }
    socket.close();
}

void answer(pair_socket& socket) {
    char question[8];
    boost::system::error_code ec;
    while (asio::async_read(socket, asio::buffer(question),
                            asio::redirect_error(rung::use_fiber, ec)) != 0) {
        compute(100us);
        asio::async_write(socket, asio::buffer(question), rung::use_fiber);
    }
}

// Work in slices, each a handler of its own, so that whatever is urgent need not wait long.
void work(const rung::executor& background, int slices) {
    asio::post(background, [=] {
        const rung::trace::span span("a slice");
        compute(200us);
        if (slices > 1) {
            work(background, slices - 1);
        }
    });
}

asio::awaitable<void> tick(int times) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (int i = 0; i < times; ++i) {
        timer.expires_after(500us);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

int main() {
    rung::io_context context;
    asio::thread_pool pool(1);
    const auto urgent = rung::with_priority(context.get_executor(), rung::priority::high);
    const auto background = rung::with_priority(context.get_executor(), rung::priority::low);

    rung::trace::start();
    auto ticks = rung::as_operation(urgent, tick(10));
    pair_socket near(context), far(context);
    asio::local::connect_pair(near, far);
    rung::spawn(context, {.name = "asks"}, [&] { ask(near); });
    rung::spawn(context, {.name = "answers"}, [&] { answer(far); });
    work(background, 30);
    auto sum = rung::offload<int>(pool, [](rung::offload_handle<int>& handle) {
        for (int percent = 0; percent <= 100; percent += 10) {
            handle.set_progress(percent);
            compute(300us);
        }
    });
    auto both = rung::all(std::move(ticks), std::move(sum));
    context.run();
    both.wait();
    rung::trace::save("trace.json");

    pool.join();
    std::cout << "wrote trace.json, " << rung::trace::dropped() << " events dropped\n";
}
