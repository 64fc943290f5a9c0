/// Fibers that wait, for a debugger to list and for valgrind to follow: `debugged_fibers`.

#include <boost/asio.hpp>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <rung/rung.hpp>
#include <stdexcept>

namespace asio = boost::asio;
using rung::use_fiber;

namespace {

[[gnu::noinline]] void wait_for_supper(rung::event& supper) {
    supper.wait();
    asm volatile("");  // or the call above would be a jump, and this function in no backtrace
}

/// Waits for data, deep in a library's function.
[[gnu::noinline]] void wait_for_post(rung::native<asio::local::stream_protocol::socket>& letters) {
    char letter[64];
    asio::async_read(letters, asio::buffer(letter), use_fiber);
    asm volatile("");
}

[[gnu::noinline]] void throw_and_wait() {
    try {
        throw std::runtime_error("held across a switch");
    } catch (const std::exception&) {
        rung::this_fiber::yield();
    }
}

/// Stacks that are of no pool.
struct heap_stack {
    struct context {
        void* sp;
        std::size_t size;
    };
    context allocate() {
        constexpr std::size_t size = std::size_t{128} << 10;
        return {static_cast<char*>(::operator new(size)) + size, size};
    }
    void deallocate(context& c) noexcept { ::operator delete(static_cast<char*>(c.sp) - c.size); }
};

}  // namespace

/// Where the debugger stops: all four fibers wait.
extern "C" [[gnu::noinline]] void everybody_waits() { asm volatile(""); }

int main() {
    rung::io_context context(1);
    rung::event supper(context);
    rung::native<asio::local::stream_protocol::socket> letters(context), sender(context);
    asio::local::connect_pair(letters, sender);

    rung::spawn(context, {.name = "hungry"}, [&] { wait_for_supper(supper); });
    rung::spawn(context, {.name = "curious"}, [&] { wait_for_post(letters); });
    rung::spawn(context, {.name = "asleep"},
                [] { rung::this_fiber::sleep_for(std::chrono::milliseconds(20)); });
    rung::spawn(context, std::allocator_arg, heap_stack(), [] {
        rung::this_fiber::set_name("elsewhere");
        rung::this_fiber::sleep_for(std::chrono::milliseconds(20));
    });
    rung::spawn(context, throw_and_wait);
    context.poll();
    everybody_waits();

    supper.set();
    const char letter[64] = {};
    asio::write(sender, asio::buffer(letter));
    rung::spawn(context, [&] {
        for (int i = 0; i < 100; ++i) {
            rung::spawn(context, throw_and_wait, use_fiber);
        }
    });
    context.run();
    return EXIT_SUCCESS;
}
