// Whole conversations, with a program on stock Asio at the other end.

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>

#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr int connections = 20;
constexpr int messages = 50;

/// A server that gives back what it gets, in callbacks, until each of its connections has ended.
template <class Loop>
class callback_server {
public:
    callback_server(Loop& l, typename Loop::tcp_acceptor& a) : loop_(l), acceptor_(a) {}
    void accept(int left) {
        if (left == 0) {
            return;
        }
        acceptor_.async_accept(asio::make_strand(loop_.executor()),
                               [this, left](error_code ec, auto socket) {
                                   if (!ec) {
                                       using s = session<decltype(socket)>;
                                       std::make_shared<s>(std::move(socket))->receive();
                                   }
                                   accept(left - 1);
                               });
    }

private:
    template <class Socket>
    struct session : std::enable_shared_from_this<session<Socket>> {
        explicit session(Socket s) : socket(std::move(s)) {
            socket.set_option(tcp::no_delay(true));
        }
        void receive() {
            socket.async_read_some(asio::buffer(block),
                                   [self = this->shared_from_this()](error_code ec, std::size_t n) {
                                       if (!ec) {
                                           self->send(n);
                                       }
                                   });
        }
        void send(std::size_t size) {
            asio::async_write(socket, asio::buffer(block, size),
                              [self = this->shared_from_this()](error_code ec, std::size_t) {
                                  if (!ec) {
                                      self->receive();
                                  }
                              });
        }
        Socket socket;
        std::array<char, 3'000> block;
    };

    Loop& loop_;
    typename Loop::tcp_acceptor& acceptor_;
};

template <class Loop>
asio::awaitable<void> serve(typename Loop::tcp_socket socket) {
    std::array<char, 3'000> block;
    socket.set_option(tcp::no_delay(true));
    const auto token = asio::as_tuple(asio::use_awaitable);
    for (;;) {
        const auto [ec, n] = co_await socket.async_read_some(asio::buffer(block), token);
        if (ec) {
            co_return;
        }
        const auto [failed, m] = co_await asio::async_write(socket, asio::buffer(block, n), token);
        if (failed) {
            co_return;
        }
    }
}

template <class Loop>
asio::awaitable<void> accept_all(Loop& l, typename Loop::tcp_acceptor& acceptor) {
    for (int i = 0; i < connections; ++i) {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        asio::co_spawn(l.executor(), serve<Loop>(std::move(socket)), asio::detached);
    }
}

/// A client of one connection: messages of growing size, each to come back as it was sent, with a
/// limit on the time it takes.
template <class Socket, class Timer, class Context>
asio::awaitable<int> converse(Context& context, tcp::endpoint there) {
    Socket socket(context);
    Timer timer(context);
    co_await socket.async_connect(there, asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    int good = 0;
    for (int i = 0; i < messages; ++i) {
        const std::string out = pattern(1 + static_cast<std::size_t>(i * i * 3));
        std::string in(out.size(), '\0');
        timer.expires_after(std::chrono::seconds(10));
        const auto result =
            co_await ((asio::async_write(socket, asio::buffer(out), asio::use_awaitable) &&
                       asio::async_read(socket, asio::buffer(in), asio::use_awaitable)) ||
                      timer.async_wait(asio::use_awaitable));
        good += result.index() == 0 && in == out ? 1 : 0;
    }
    co_return good;
}

/// Runs all clients in a process of its own, over stock Asio. Exit code 0: all was well.
class stock_clients {
public:
    explicit stock_clients(tcp::endpoint there) : id_(::fork()) {
        BOOST_REQUIRE(id_ != -1);
        if (id_ == 0) {
            ::alarm(30);
            asio::io_context context;
            int good = 0;
            for (int i = 0; i < connections; ++i) {
                asio::co_spawn(context, converse<tcp::socket, asio::steady_timer>(context, there),
                               [&](std::exception_ptr, int n) { good += n; });
            }
            context.run();
            ::_exit(good == connections * messages ? 0 : 1);
        }
    }
    ~stock_clients() { wait(); }
    stock_clients(const stock_clients&) = delete;
    stock_clients& operator=(const stock_clients&) = delete;

    int wait() {
        if (id_ != -1) {
            ::waitpid(std::exchange(id_, -1), &status_, 0);
        }
        return status_;
    }

private:
    pid_t id_;
    int status_ = -1;
};

RUNG_RIVAL_CASE(a_server_in_callbacks_serves_a_program_on_stock_asio) {
    auto acceptor = listener(loop);
    stock_clients clients(acceptor.local_endpoint());
    callback_server<Loop> server(loop, acceptor);
    server.accept(connections);
    loop.run();
    BOOST_TEST(clients.wait() == 0);
}

RUNG_RIVAL_CASE(a_server_in_coroutines_serves_a_program_on_stock_asio) {
    auto acceptor = listener(loop);
    stock_clients clients(acceptor.local_endpoint());
    asio::co_spawn(loop.executor(), accept_all(loop, acceptor), asio::detached);
    loop.run();
    BOOST_TEST(clients.wait() == 0);
}

RUNG_RIVAL_CASE(clients_in_coroutines_talk_to_a_server_on_stock_asio) {
    using stock = test::loop<asio::io_context>;
    const typename Loop::timer first(loop.context());  // a stock context has its descriptors now
    stock there(modes[0]);
    auto acceptor = listener(there);
    const tcp::endpoint endpoint = acceptor.local_endpoint();
    callback_server<stock> server(there, acceptor);
    server.accept(connections);
    std::thread serving([&] { there.context().run(); });
    std::atomic<int> good{0};
    for (int i = 0; i < connections; ++i) {
        // Each conversation has two operations at once, hence a strand where two threads run.
        asio::co_spawn(
            asio::make_strand(loop.executor()),
            converse<typename Loop::tcp_socket, typename Loop::timer>(loop.context(), endpoint),
            [&](std::exception_ptr, int n) { good += n; });
    }
    loop.run();
    serving.join();
    BOOST_TEST(good == connections * messages);
}

}  // namespace
