#include <boost/asio.hpp>
#include <iostream>
#include <rung/rung.hpp>

int main() {
    rung::io_context context;
    auto urgent = rung::with_priority(context.get_executor(), rung::priority::high);
    boost::asio::post(context, [] { std::cout << "normal work, posted first\n"; });
    boost::asio::post(urgent, [] { std::cout << "urgent work, posted second\n"; });

    rung::native<boost::asio::steady_timer> timer(context, std::chrono::milliseconds(10));
    timer.async_wait([](auto error) { std::cout << "10 ms later: " << error.message() << "\n"; });

    context.run();
}
