// Cancelling one operation through its slot, several with operators, and all of an object's.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <functional>

#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
using namespace asio::experimental::awaitable_operators;
namespace error = asio::error;

namespace {

constexpr asio::cancellation_type every_type[] = {asio::cancellation_type::terminal,
                                                  asio::cancellation_type::partial,
                                                  asio::cancellation_type::total};

/// Operations that go on until somebody ends them, each with a handler and a slot of its own.
template <class Loop>
class endless_operations {
public:
    explicit endless_operations(Loop& l)
        : pair_(local_pair(l)),
          acceptor_(listener(l)),
          connecting_(l.context(), tcp::v4()),
          accepted_(l.context()),
          timer_(l.context(), std::chrono::hours(1)) {
        pair_.first.non_blocking(true);
        error_code ec;
        while (!ec) {
            pair_.first.send(asio::buffer(full_), 0, ec);
        }
        add([this](auto h) { pair_.second_waits(std::move(h)); });
        add([this](auto h) { pair_.first.async_receive(asio::buffer(in_), std::move(h)); });
        add([this](auto h) { pair_.first.async_receive(two_, std::move(h)); });
        add([this](auto h) { pair_.first.async_send(asio::buffer(full_), std::move(h)); });
        add([this](auto h) { pair_.first.async_send(asio::buffer(full_), std::move(h)); });
        add([this](auto h) { pair_.first.async_wait(wait::wait_read, std::move(h)); });
        add([this](auto h) { connecting_.async_connect(port_.endpoint(), std::move(h)); });
        add([this](auto h) { acceptor_.async_accept(accepted_, std::move(h)); });
        add([this](auto h) { acceptor_.async_wait(wait::wait_read, std::move(h)); });
        add([this](auto h) { timer_.async_wait(std::move(h)); });
        add([this](auto h) { timer_.async_wait(std::move(h)); });
    }

    std::size_t size() const { return starts_.size(); }
    const outcome& of(std::size_t i) const { return outcomes_[i]; }
    void emit(std::size_t i, asio::cancellation_type t) { signals_[i].emit(t); }
    void start_all() {
        outcomes_.assign(size(), {});
        for (std::size_t i = 0; i < size(); ++i) {
            starts_[i](i);
        }
    }
    void cancel_all() {
        pair_.first.cancel();
        pair_.second.cancel();
        acceptor_.cancel();
        connecting_.close();
        connecting_.open(tcp::v4());
        timer_.cancel();
    }

private:
    using wait = asio::socket_base;
    struct sockets : std::pair<typename Loop::local_socket, typename Loop::local_socket> {
        using base = std::pair<typename Loop::local_socket, typename Loop::local_socket>;
        explicit sockets(base&& b) : base(std::move(b)) {}
        template <class Handler>
        void second_waits(Handler h) {
            this->second.async_wait(wait::wait_error, std::move(h));
        }
    };

    template <class Start>
    void add(Start start) {
        signals_.emplace_back();
        starts_.push_back([this, start](std::size_t i) {
            start(asio::bind_cancellation_slot(signals_[i].slot(), into(outcomes_[i])));
        });
    }

    sockets pair_;
    typename Loop::tcp_acceptor acceptor_;
    deaf_port port_;
    typename Loop::tcp_socket connecting_;
    typename Loop::tcp_socket accepted_;
    typename Loop::timer timer_;
    std::string full_ = pattern(100'000);
    char in_[4];
    std::array<asio::mutable_buffer, 2> two_{asio::buffer(in_, 1), asio::buffer(in_ + 1, 1)};
    std::deque<asio::cancellation_signal> signals_;
    std::vector<std::function<void(std::size_t)>> starts_;
    std::vector<outcome> outcomes_;
};

RUNG_RIVAL_CASE(a_slot_ends_its_operation_and_no_other) {
    endless_operations<Loop> operations(loop);
    for (const asio::cancellation_type type : every_type) {
        for (const bool submitted : {true, false}) {
            operations.start_all();
            if (submitted) {
                loop.poll();
            }
            for (std::size_t i = 0; i < operations.size(); ++i) {
                BOOST_TEST(operations.of(i) == outcome{});
                operations.emit(i, type);
                for (int tries = 0; tries < 1000 && operations.of(i).calls == 0; ++tries) {
                    loop.poll();
                }
                BOOST_TEST(operations.of(i) == failed(error::operation_aborted));
                operations.emit(i, type);  // there is nothing left to end
            }
            operations.cancel_all();
            loop.run();
        }
    }
}

RUNG_RIVAL_CASE(the_last_operation_started_may_be_the_first_to_be_cancelled) {
    endless_operations<Loop> operations(loop);
    operations.start_all();
    loop.poll();
    for (std::size_t i = operations.size(); i-- > 0;) {
        operations.emit(i, asio::cancellation_type::total);
        for (int tries = 0; tries < 1000 && operations.of(i).calls == 0; ++tries) {
            loop.poll();
        }
        BOOST_TEST(operations.of(i) == failed(error::operation_aborted));
        BOOST_TEST((i == 0 || operations.of(i - 1) == outcome{}));
    }
    loop.run();
}

RUNG_RIVAL_CASE(a_signal_of_no_type_does_nothing) {
    endless_operations<Loop> operations(loop);
    operations.start_all();
    loop.poll();
    for (std::size_t i = 0; i < operations.size(); ++i) {
        operations.emit(i, asio::cancellation_type::none);
    }
    loop.poll();
    for (std::size_t i = 0; i < operations.size(); ++i) {
        BOOST_TEST(operations.of(i) == outcome{});
    }
    operations.cancel_all();
    loop.run();
    for (std::size_t i = 0; i < operations.size(); ++i) {
        BOOST_TEST(operations.of(i) == failed(error::operation_aborted));
    }
}

RUNG_RIVAL_CASE(a_signal_to_what_has_completed_changes_nothing) {
    auto [a, b] = local_pair(loop);
    asio::cancellation_signal signal;
    char in[4];
    outcome o;
    a.send(asio::buffer("abc", 3));
    b.async_receive(asio::buffer(in), asio::bind_cancellation_slot(signal.slot(), into(o)));
    loop.run();
    signal.emit(asio::cancellation_type::all);
    BOOST_TEST(o == done(3));
    // The slot serves the next operation.
    b.async_receive(asio::buffer(in), asio::bind_cancellation_slot(signal.slot(), into(o)));
    loop.poll();
    signal.emit(asio::cancellation_type::all);
    loop.run();
    BOOST_TEST(o.calls == 2);
    BOOST_TEST(o.ec == error_code(error::operation_aborted));
}

RUNG_RIVAL_CASE(a_signal_may_outlive_the_operation_and_the_operation_the_signal) {
    auto [a, b] = local_pair(loop);
    char in[4];
    outcome first;
    outcome second;
    {
        asio::cancellation_signal signal;
        b.async_receive(asio::buffer(in, 1),
                        asio::bind_cancellation_slot(signal.slot(), into(first)));
        loop.poll();
    }
    auto later = std::make_unique<asio::cancellation_signal>();
    b.async_receive(asio::buffer(in, 1), asio::bind_cancellation_slot(later->slot(), into(second)));
    loop.poll();
    a.send(asio::buffer("ab", 2));
    loop.run();
    BOOST_TEST(first == done(1));
    BOOST_TEST(second == done(1));
    later.reset();
}

RUNG_RIVAL_CASE(a_cancelled_composed_operation_tells_what_it_has_transferred) {
    auto [a, b] = local_pair(loop);
    asio::cancellation_signal signal;
    char in[8];
    outcome o;
    asio::async_read(b, asio::buffer(in), asio::bind_cancellation_slot(signal.slot(), into(o)));
    loop.poll();
    a.send(asio::buffer("abc", 3));
    for (int i = 0; i < 100 && b.available() != 0; ++i) {
        loop.poll();
    }
    loop.poll();
    signal.emit(asio::cancellation_type::partial);
    loop.run();
    BOOST_TEST(o == failed(error::operation_aborted, 3));
}

template <class Loop>
using awaited = asio::awaitable<void, typename Loop::executor_type>;

template <class Loop, class F>
void spawn_and_run(Loop& l, F f) {
    bool finished = false;
    std::exception_ptr thrown;
    // Both sides of an operator run in one strand where two threads run.
    asio::co_spawn(asio::make_strand(l.executor()), std::move(f), [&](std::exception_ptr e) {
        thrown = e;
        finished = true;
    });
    l.run();
    BOOST_TEST(finished);
    BOOST_TEST((thrown == nullptr));
}

RUNG_RIVAL_CASE(of_two_awaited_operations_the_slower_is_cancelled) {
    auto [a, b] = local_pair(loop);
    auto acceptor = listener(loop);
    const deaf_port port;
    std::size_t timeouts = 0;
    std::size_t received = 0;
    const auto body = [&, &a = a, &b = b]() -> asio::awaitable<void> {
        typename Loop::timer timer(loop.context());
        typename Loop::tcp_socket s(loop.context());
        char in[4];
        const auto token = asio::use_awaitable;
        const auto times_out = [&](auto operation) -> asio::awaitable<std::size_t> {
            timer.expires_after(std::chrono::milliseconds(2));
            const auto result = co_await (std::move(operation) || timer.async_wait(token));
            co_return result.index();
        };
        timeouts += co_await times_out(b.async_receive(asio::buffer(in), token));
        timeouts += co_await times_out(b.async_wait(b.wait_read, token));
        timeouts += co_await times_out(acceptor.async_accept(token));
        timeouts += co_await times_out(s.async_connect(port.endpoint(), token));
        a.send(asio::buffer("abc", 3));
        timer.expires_after(std::chrono::hours(1));
        const auto fast =
            co_await (b.async_receive(asio::buffer(in), token) || timer.async_wait(token));
        received = std::get<0>(fast);
        timer.expires_after(std::chrono::milliseconds(1));
        co_await (timer.async_wait(token) && b.async_wait(b.wait_write, token));
    };
    spawn_and_run(loop, body);
    BOOST_TEST(timeouts == 4U);
    BOOST_TEST(received == 3U);
}

RUNG_RIVAL_CASE(a_cancelled_coroutine_cancels_what_it_awaits) {
    auto [a, b] = local_pair(loop);
    asio::cancellation_signal signal;
    error_code seen;
    bool ended = false;
    asio::co_spawn(
        loop.executor(),
        [&, &b = b]() -> awaited<Loop> {
            char in[4];
            try {
                co_await b.async_receive(asio::buffer(in),
                                         asio::use_awaitable_t<typename Loop::executor_type>{});
            } catch (const boost::system::system_error& e) {
                seen = e.code();
            }
        },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
    loop.poll();
    BOOST_TEST(!ended);
    signal.emit(asio::cancellation_type::terminal);
    loop.run();
    BOOST_TEST(ended);
    BOOST_TEST(seen == error_code(error::operation_aborted));
}

}  // namespace
