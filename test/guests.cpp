/// Stock I/O objects, with an executor type that is not ours, on our loop.

#include <dirent.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <memory>
#include <rung/rung.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "watchdog.hpp"

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;
using local = asio::local::stream_protocol;

namespace {

/// How many threads this process has.
int threads_of_process() {
    DIR* const tasks = ::opendir("/proc/self/task");
    BOOST_REQUIRE(tasks != nullptr);
    int n = 0;
    while (const dirent* const entry = ::readdir(tasks)) {
        n += entry->d_name[0] != '.' ? 1 : 0;
    }
    ::closedir(tasks);
    return n;
}

/// A pair of stock sockets that play ping-pong until one has received so many bytes.
class ping_pong {
public:
    ping_pong(rung::io_context& context, int rounds)
        : near_(context), far_(context), left_(rounds) {
        asio::local::connect_pair(near_, far_);
    }
    void start() {
        receive(far_, near_, 1);
        receive(near_, far_, 0);
        asio::write(near_, asio::buffer(byte_));
    }
    bool done() const { return left_ == 0; }

private:
    void receive(local::socket& at, local::socket& to, std::size_t side) {
        at.async_receive(asio::buffer(in_[side]), [this, &at, &to, side](error_code ec, std::size_t n) {
            if (ec || n != 1) {
                return;
            }
            if (--left_ == 0) {
                error_code ignored;
                at.close(ignored);
                to.close(ignored);
                return;
            }
            asio::async_write(at, asio::buffer(byte_), [](error_code, std::size_t) {});
            receive(at, to, side);
        });
    }

    local::socket near_;
    local::socket far_;
    int left_;
    std::array<char, 1> byte_{{'x'}};
    std::array<std::array<char, 1>, 2> in_{};
};

}  // namespace

BOOST_AUTO_TEST_CASE(sockets_and_timers_run_on_the_loop_without_another_thread) {
    rung::io_context context;
    const test::watchdog guard([&] { context.stop(); });
    const int before = threads_of_process();
    ping_pong game(context, 1000);
    game.start();
    asio::steady_timer timer(context, 5ms);
    std::thread::id ran_on;
    timer.async_wait([&](error_code ec) {
        BOOST_TEST(!ec);
        ran_on = std::this_thread::get_id();
        BOOST_TEST(threads_of_process() == before);
    });
    BOOST_TEST(threads_of_process() == before);
    context.run();
    BOOST_TEST(!guard.expired());
    BOOST_TEST(game.done());
    BOOST_TEST((ran_on == std::this_thread::get_id()));
    BOOST_TEST(!context.statistics().guest_thread);
}

BOOST_AUTO_TEST_CASE(run_counts_the_handlers_of_the_program_alone) {
    rung::io_context context;
    asio::steady_timer a(context, 1ms);
    asio::steady_timer b(context, 2ms);
    int calls = 0;
    a.async_wait([&](error_code) { ++calls; });
    b.async_wait([&](error_code) { ++calls; });
    BOOST_TEST(context.poll_one() == 0U);
    BOOST_TEST(context.run_one() == 1U);
    BOOST_TEST(calls == 1);
    BOOST_TEST(context.run() == 1U);
    BOOST_TEST(calls == 2);
    BOOST_TEST(context.stopped());
}

BOOST_AUTO_TEST_CASE(a_handler_may_run_the_next_one) {
    for (const bool waits : {false, true}) {
        rung::io_context context;
        asio::steady_timer first(context, 0ms);
        asio::steady_timer second(context, 0ms);
        int calls = 0;
        std::size_t within = 0;
        const auto handler = [&](error_code) {
            if (++calls == 1) {
                within = waits ? context.run_one_for(5s) : context.poll();
                BOOST_TEST(calls == 2);
            }
        };
        first.async_wait(handler);
        second.async_wait(handler);
        BOOST_TEST(context.run() == 1U);
        BOOST_TEST(within == 1U);
        BOOST_TEST(calls == 2);
    }
}

BOOST_AUTO_TEST_CASE(guests_and_native_objects_speak_with_each_other) {
    rung::io_context context;
    asio::ip::tcp::acceptor guest(context, {asio::ip::address_v4::loopback(), 0});
    rung::native<asio::ip::tcp::socket> native(context);
    asio::ip::tcp::socket accepted(context);
    std::string received;
    guest.async_accept(accepted, [&](error_code ec) {
        BOOST_TEST(!ec);
        asio::async_write(accepted, asio::buffer("from a guest", 12),
                          [&](error_code, std::size_t) { accepted.close(); });
    });
    native.async_connect(guest.local_endpoint(), [&](error_code ec) {
        BOOST_TEST(!ec);
        asio::async_read(native, asio::dynamic_buffer(received),
                         [&](error_code e, std::size_t) { BOOST_TEST(e == asio::error::eof); });
    });
    const test::watchdog guard([&] { context.stop(); });
    context.run();
    BOOST_TEST(!guard.expired());
    BOOST_TEST(received == "from a guest");
}

BOOST_AUTO_TEST_CASE(an_exception_leaves_run_and_the_other_guests_go_on) {
    rung::io_context context;
    std::vector<std::unique_ptr<asio::steady_timer>> timers;
    int calls = 0;
    for (int i = 0; i < 10; ++i) {
        timers.push_back(std::make_unique<asio::steady_timer>(context, 1ms));
        timers.back()->async_wait([&](error_code) {
            ++calls;
            throw std::runtime_error("from a guest's handler");
        });
    }
    int thrown = 0;
    for (int i = 0; i < 10; ++i) {
        try {
            context.run();
        } catch (const std::runtime_error&) {
            ++thrown;
        }
    }
    BOOST_TEST(thrown == 10);
    BOOST_TEST(calls == 10);
    BOOST_TEST(context.run() == 0U);
}

BOOST_AUTO_TEST_CASE(urgent_work_overtakes_guests_handlers) {
    rung::io_context context;
    auto urgent = asio::require(context.get_executor(), rung::priority::high);
    local::socket a(context);
    local::socket b(context);
    asio::local::connect_pair(a, b);
    std::vector<std::unique_ptr<asio::steady_timer>> timers;
    int calls = 0;
    int calls_before_urgent = -1;
    for (int i = 0; i < 100; ++i) {
        timers.push_back(std::make_unique<asio::steady_timer>(context, 1ms));
        timers.back()->async_wait([&](error_code) {
            if (++calls == 10) {
                asio::post(urgent, [&] { calls_before_urgent = calls; });
            }
        });
    }
    context.run();
    BOOST_TEST(calls == 100);
    BOOST_TEST(calls_before_urgent == 10);
}

BOOST_AUTO_TEST_CASE(descriptors_signals_and_resolvers_are_hosted_as_well) {
    rung::io_context context;
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    asio::posix::stream_descriptor out(context, ends[0]);
    BOOST_TEST(::write(ends[1], "abc", 3) == 3);
    ::close(ends[1]);
    char in[8];
    std::size_t n = 0;
    out.async_read_some(asio::buffer(in), [&](error_code, std::size_t m) { n = m; });

    asio::signal_set signals(context, SIGUSR1);
    int signal = 0;
    signals.async_wait([&](error_code, int s) { signal = s; });

    asio::ip::tcp::resolver resolver(context);
    std::size_t found = 0;
    resolver.async_resolve("127.0.0.1", "80", [&](error_code ec, auto results) {
        BOOST_TEST(!ec);
        found = results.size();
    });
    ::raise(SIGUSR1);
    const test::watchdog guard([&] { context.stop(); });
    context.run();
    BOOST_TEST(!guard.expired());
    BOOST_TEST(n == 3U);
    BOOST_TEST(signal == SIGUSR1);
    BOOST_TEST(found == 1U);
}

BOOST_AUTO_TEST_CASE(a_context_is_destroyed_with_guests_pending_and_ready) {
    for (int handlers = 0; handlers < 6; ++handlers) {
        auto witness = std::make_shared<int>(0);
        {
            rung::io_context context;
            ping_pong game(context, 1000);
            game.start();
            asio::steady_timer timer(context, 1h);
            timer.async_wait([witness](error_code) {});
            auto owned = std::make_shared<asio::steady_timer>(context, 0ms);
            owned->async_wait([owned, witness](error_code) {});
            owned.reset();
            for (int i = 0; i < handlers; ++i) {
                context.run_one();
            }
        }
        BOOST_TEST(witness.use_count() == 1);
    }
}
