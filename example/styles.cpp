/// One session in five styles on one loop: each asks a server, waits a little, and asks again.

#include <boost/asio.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using timer_type = rung::native<asio::steady_timer>;

namespace {

/// What every style calls: an operation of `void(error_code, int)` that takes a while.
template <class Token>
auto async_ask(timer_type& timer, int question, Token&& token) {
    return asio::async_compose<Token, void(error_code, int)>(
        [&timer, question, asked = false](auto& self, error_code ec = {}) mutable {
            if (!std::exchange(asked, true)) {
                timer.expires_after(1ms);
                timer.async_wait(std::move(self));
            } else {
                self.complete(ec, question * question);
            }
        },
        token, timer);
}

void report(const char* style, int answer) { std::cout << style << ": " << answer << "\n"; }

void by_callback(rung::io_context& context) {
    auto timer = std::make_shared<timer_type>(context);
    async_ask(*timer, 3, [timer](error_code, int first) {
        async_ask(*timer, first, [timer](error_code, int second) { report("callback", second); });
    });
}

asio::awaitable<void> by_coroutine(rung::io_context& context) {
    timer_type timer(context);
    const int first = co_await async_ask(timer, 3, asio::use_awaitable);
    report("coroutine", co_await async_ask(timer, first, asio::use_awaitable));
}

void by_fiber(rung::io_context& context) {
    timer_type timer(context);
    const int first = async_ask(timer, 3, rung::use_fiber);
    report("fiber", async_ask(timer, first, rung::use_fiber));
}

/// On a thread of its own, which it blocks.
void by_future(rung::io_context& context) {
    timer_type timer(context);
    const int first = async_ask(timer, 3, asio::use_future).get();
    report("future", async_ask(timer, first, asio::use_future).get());
}

/// The questions are objects, which anybody may poll, watch or cancel; here a fiber waits for them.
void by_operation(rung::io_context& context) {
    timer_type timer(context);
    const auto first = async_ask(timer, 3, rung::use_operation);
    const int answer = first.async_wait(rung::use_fiber);
    const auto second = async_ask(timer, answer, rung::use_operation);
    report("operation", second.async_wait(rung::use_fiber));
}

}  // namespace

int main() try {
    rung::io_context context;
    auto work = asio::make_work_guard(context);
    by_callback(context);
    asio::co_spawn(context, by_coroutine(context), asio::detached);
    rung::spawn(context, [&] { by_fiber(context); });
    rung::spawn(context, [&] { by_operation(context); });
    std::thread thread([&] {
        by_future(context);
        work.reset();
    });
    context.run();
    thread.join();
    return EXIT_SUCCESS;
} catch (const std::exception& e) {
    std::cerr << "styles: " << e.what() << "\n";
    return EXIT_FAILURE;
}
