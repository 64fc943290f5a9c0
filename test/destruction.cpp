// A context that is destroyed with operations of every kind in flight: no handler runs, every
// handler is destroyed, and the kernel has let go of the buffers.

#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <future>

#include "called_once.hpp"
#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

/// Objects with operations in flight, which live as long as the handlers of those.
template <class Loop>
class session : public std::enable_shared_from_this<session<Loop>> {
public:
    /// Bytes that the session's operations write to and read from, and that outlive it.
    struct memory {
        std::array<char, 64> in{};
        std::string out = pattern(4'000'000);
    };

    session(Loop& l, memory& m)
        : memory_(m),
          pair_(local_pair(l)),
          acceptor_(listener(l)),
          connecting_(l.context(), tcp::v4()),
          accepted_(l.context()),
          timer_(l.context(), std::chrono::hours(1)) {}

    /// Another descriptor of the socket that receives, so that what is sent to it is kept.
    int duplicate() { return ::dup(pair_.first.native_handle()); }
    int duplicate_of_peer() { return ::dup(pair_.second.native_handle()); }

    void start() {
        using wait = asio::socket_base;
        auto& [a, b] = pair_;
        char* const in = memory_.in.data();
        a.async_receive(asio::buffer(in, 8), uncalled());
        a.async_receive(
            std::array<asio::mutable_buffer, 2>{asio::buffer(in + 8, 8), asio::buffer(in + 16, 8)},
            uncalled());
        a.async_wait(wait::wait_read, uncalled());
        a.async_wait(wait::wait_error, uncalled());
        b.async_wait(wait::wait_error, uncalled());
        asio::async_write(a, asio::buffer(memory_.out), uncalled());
        acceptor_.async_accept(accepted_, uncalled());
        acceptor_.async_accept(uncalled());
        acceptor_.async_wait(wait::wait_read, uncalled());
        connecting_.async_connect(port_.endpoint(), uncalled());
        timer_.async_wait(uncalled());
        timer_.async_wait(uncalled());
    }

private:
    auto uncalled() {
        return called_once([self = this->shared_from_this()](auto&&...) {}, 0);
    }

    memory& memory_;
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair_;
    typename Loop::tcp_acceptor acceptor_;
    deaf_port port_;
    typename Loop::tcp_socket connecting_;
    typename Loop::tcp_socket accepted_;
    typename Loop::timer timer_;
};

/// Who runs the context, and who destroys it.
enum class runner { same_thread, thread_that_has_ended, thread_that_lives_on };

/// Runs what is ready of the context, as `who` says, and destroys it here.
template <class Loop>
void run_and_destroy(Loop& loop, runner who) {
    if (who == runner::same_thread) {
        loop.poll();
        loop.destroy();
        return;
    }
    std::promise<void> ran;
    std::promise<void> destroyed;
    std::thread other([&] {
        loop.context().run_for(std::chrono::milliseconds(5));
        ran.set_value();
        if (who == runner::thread_that_lives_on) {
            destroyed.get_future().wait();
        }
    });
    if (who == runner::thread_that_has_ended) {
        other.join();
    } else {
        ran.get_future().wait();
    }
    loop.destroy();
    destroyed.set_value();
    if (other.joinable()) {
        other.join();
    }
}

template <class Loop>
void destroy_with_everything_in_flight(Loop& loop, runner who) {
    typename session<Loop>::memory memory;
    int socket = -1;
    int peer = -1;
    std::weak_ptr<session<Loop>> alive;
    {
        const auto s = std::make_shared<session<Loop>>(loop, memory);
        alive = s;
        socket = s->duplicate();
        peer = s->duplicate_of_peer();
        s->start();
    }
    run_and_destroy(loop, who);
    BOOST_TEST(alive.expired());

    const auto before = memory.in;
    BOOST_TEST(::send(peer, "for nobody else", 15, 0) == 15);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    BOOST_TEST((memory.in == before));
    char in[20];
    BOOST_TEST(::recv(socket, in, sizeof in, MSG_DONTWAIT) == 15);
    ::close(socket);
    ::close(peer);
}

RUNG_RIVAL_CASE(operations_in_flight_are_destroyed_and_their_buffers_left_alone) {
    destroy_with_everything_in_flight(loop, runner::same_thread);
}

RUNG_RIVAL_CASE(another_thread_that_has_ended_may_have_run_the_context) {
    destroy_with_everything_in_flight(loop, runner::thread_that_has_ended);
}

RUNG_RIVAL_CASE(another_thread_that_lives_on_may_have_run_the_context) {
    destroy_with_everything_in_flight(loop, runner::thread_that_lives_on);
}

RUNG_RIVAL_CASE(what_nobody_ever_ran_is_destroyed_too) {
    typename session<Loop>::memory memory;
    auto s = std::make_shared<session<Loop>>(loop, memory);
    std::weak_ptr<session<Loop>> alive = s;
    s->start();
    s.reset();
    loop.destroy();
    BOOST_TEST(alive.expired());
}

RUNG_RIVAL_CASE(buffers_do_not_change_once_the_context_is_gone_while_data_keeps_coming) {
    constexpr std::size_t n = 50;
    std::array<char, n> in{};
    std::vector<int> peers;
    std::atomic<bool> over{false};
    for (std::size_t i = 0; i < n; ++i) {
        auto [a, b] = local_pair(loop);
        auto socket = std::make_shared<typename Loop::local_socket>(std::move(a));
        peers.push_back(b.release());
        socket->async_receive(asio::buffer(&in[i], 1), [socket](error_code, std::size_t) {});
    }
    loop.context().poll_one();
    std::thread sender([&] {
        for (char c = 0; !over; ++c) {
            for (const int p : peers) {
                ::send(p, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            }
        }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    loop.destroy();
    const auto before = in;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    BOOST_TEST((in == before));
    over = true;
    sender.join();
    for (const int p : peers) {
        ::close(p);
    }
}

RUNG_RIVAL_CASE(completions_that_nobody_handled_leave_no_descriptor_behind) {
    auto clients = std::make_unique<std::vector<typename Loop::tcp_socket>>();
    auto acceptor = std::make_unique<typename Loop::tcp_acceptor>(listener(loop));
    for (int i = 0; i < 8; ++i) {
        acceptor->async_accept([](error_code, typename Loop::tcp_socket) {});
    }
    loop.context().restart();
    loop.context().poll_one();
    for (int i = 0; i < 8; ++i) {
        clients->emplace_back(loop.context()).connect(acceptor->local_endpoint());
    }
    loop.context().restart();
    loop.context().poll_one();  // several connections may be accepted, one handler has run
    clients.reset();
    acceptor.reset();
    loop.destroy();
}

RUNG_RIVAL_CASE(suspended_coroutines_are_destroyed) {
    struct counted {
        explicit counted(int& n) : count(++n) {}
        ~counted() { --count; }
        counted(const counted&) = delete;
        counted& operator=(const counted&) = delete;
        int& count;
    };
    int frames = 0;
    auto objects =
        std::make_shared<std::pair<typename Loop::local_socket, typename Loop::local_socket>>(
            local_pair(loop));
    for (int i = 0; i < 5; ++i) {
        asio::co_spawn(
            loop.executor(),
            [objects, &frames, &loop]() -> asio::awaitable<void> {
                const counted here(frames);
                typename Loop::timer timer(loop.context(), std::chrono::hours(1));
                char in[4];
                co_await asio::post(asio::use_awaitable);
                asio::co_spawn(
                    loop.executor(),
                    [objects, &frames, &in]() -> asio::awaitable<void> {
                        const counted inner(frames);
                        co_await objects->first.async_receive(asio::buffer(in),
                                                              asio::use_awaitable);
                    },
                    asio::detached);
                co_await timer.async_wait(asio::use_awaitable);
            },
            asio::detached);
    }
    objects.reset();
    loop.poll();
    BOOST_TEST(frames == 10);
    loop.destroy();
    BOOST_TEST(frames == 0);
}

RUNG_RIVAL_CASE(handlers_that_start_new_operations_when_destroyed_are_no_trouble) {
    struct restless {
        std::shared_ptr<typename Loop::local_socket> socket;
        std::shared_ptr<typename Loop::timer> timer;
        int* generations;
        restless(const restless&) = default;
        restless(restless&&) = default;
        restless(std::shared_ptr<typename Loop::local_socket> s,
                 std::shared_ptr<typename Loop::timer> t, int* g)
            : socket(std::move(s)), timer(std::move(t)), generations(g) {}
        ~restless() {
            if (socket != nullptr && ++*generations < 20) {
                asio::post(socket->get_executor(), restless(socket, timer, generations));
            }
        }
        void operator()() const { BOOST_ERROR("called"); }
    };
    int generations = 0;
    {
        auto [a, b] = local_pair(loop);
        auto socket = std::make_shared<typename Loop::local_socket>(std::move(a));
        auto timer = std::make_shared<typename Loop::timer>(loop.context());
        asio::post(loop.context(), restless(socket, timer, &generations));
    }
    loop.destroy();
    BOOST_TEST(generations >= 1);
}

/// One echo after another, until it is stopped by the destruction of its context.
template <class Loop>
struct echo : std::enable_shared_from_this<echo<Loop>> {
    explicit echo(Loop& l) : pair(local_pair(l)), timer(l.context()) {}
    void go() {
        const auto self = this->shared_from_this();
        pair.second.async_receive(asio::buffer(in), [self](error_code, std::size_t n) {
            self->timer.expires_after(std::chrono::microseconds(1));
            self->timer.async_wait([self, n](error_code) {
                asio::async_write(self->pair.second, asio::buffer(self->in, n),
                                  [self](error_code, std::size_t) {});
            });
        });
        pair.first.async_send(asio::buffer("abc", 3), [self](error_code, std::size_t) {
            self->pair.first.async_receive(asio::buffer(self->back),
                                           [self](error_code, std::size_t) {
                                               if (++self->rounds < 4) {
                                                   self->go();
                                               }
                                           });
        });
    }
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair;
    typename Loop::timer timer;
    char in[4];
    char back[4];
    int rounds = 0;
};

RUNG_RIVAL_CASE(after_any_number_of_handlers_the_rest_can_be_destroyed) {
    constexpr int all = 20;  // four rounds of five handlers
    for (int n = 0; n <= all; ++n) {
        Loop own(modes[n % 3]);
        auto e = std::make_shared<echo<Loop>>(own);
        std::weak_ptr<echo<Loop>> alive = e;
        e->go();
        e.reset();
        std::size_t ran = 0;
        while (ran < static_cast<std::size_t>(n) &&
               own.context().run_one_for(std::chrono::seconds(5)) != 0) {
            ++ran;
        }
        BOOST_TEST(ran == static_cast<std::size_t>(n));
        BOOST_TEST(alive.expired() == (n == all));
        own.destroy();
        BOOST_TEST(alive.expired());
    }
}

}  // namespace
