#pragma once

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <memory>

#include "peers.hpp"
#include "rivals.hpp"
#include "thrown_by.hpp"

/// Each asynchronous operation with each way in which it can end, so that a case can start it with
/// any completion token.
///
/// An object is one use of one operation: `start(token)` begins it, `cause()` brings about the end
/// that the object was made for, and `expects(ec)` says whether that is how it ended.
namespace test {

enum class ending { success, failure, cancellation };
inline constexpr std::array<ending, 3> endings{ending::success, ending::failure,
                                               ending::cancellation};

inline std::ostream& operator<<(std::ostream& out, ending e) {
    return out << (e == ending::success   ? "success"
                   : e == ending::failure ? "failure"
                                          : "cancellation");
}

inline bool is_expected(ending e, error_code ec, std::initializer_list<error_code> failures) {
    switch (e) {
        case ending::success:
            return !ec;
        case ending::failure:
            return std::find(failures.begin(), failures.end(), ec) != failures.end();
        default:
            return ec == asio::error::operation_aborted;
    }
}

/// With flags (`Flags` true) or in the form that has none.
template <class Loop, bool Flags>
class receiving_stream {
public:
    receiving_stream(Loop& l, ending e) : ending_(e), pair_(local_pair(l)) {}
    template <class Token>
    auto start(Token&& token) {
        if constexpr (Flags) {
            return pair_.second.async_receive(asio::buffer(in_), asio::socket_base::message_peek,
                                              std::forward<Token>(token));
        } else {
            return pair_.second.async_receive(asio::buffer(in_), std::forward<Token>(token));
        }
    }
    void cause() {
        if (ending_ == ending::success) {
            pair_.first.send(asio::buffer("abc", 3));
        } else if (ending_ == ending::failure) {
            pair_.first.close();
        } else {
            pair_.second.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::eof}) &&
               (ending_ != ending::success || std::string(in_, 3) == "abc");
    }

private:
    ending ending_;
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair_;
    char in_[8] = {};
};
template <class Loop>
using receiving = receiving_stream<Loop, false>;
template <class Loop>
using receiving_with_flags = receiving_stream<Loop, true>;

template <class Loop, bool Flags>
class sending_stream {
public:
    sending_stream(Loop& l, ending e) : ending_(e), pair_(local_pair(l)), block_(pattern(65'536)) {
        pair_.first.non_blocking(true);
        error_code ec;
        while (!ec) {
            sent_ += pair_.first.send(asio::buffer(block_), 0, ec);
        }
    }
    template <class Token>
    auto start(Token&& token) {
        const std::array<asio::const_buffer, 2> two{asio::buffer(block_, 1'000),
                                                    asio::buffer(block_)};
        if constexpr (Flags) {
            return pair_.first.async_send(two, 0, std::forward<Token>(token));
        } else {
            return pair_.first.async_write_some(two, std::forward<Token>(token));
        }
    }
    void cause() {
        if (ending_ == ending::success) {
            std::string in(sent_, '\0');
            asio::read(pair_.second, asio::buffer(in));
        } else if (ending_ == ending::failure) {
            pair_.second.close();
        } else {
            pair_.first.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::broken_pipe, asio::error::connection_reset});
    }

private:
    ending ending_;
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair_;
    std::string block_;
    std::size_t sent_ = 0;
};
template <class Loop>
using sending = sending_stream<Loop, false>;
template <class Loop>
using sending_with_flags = sending_stream<Loop, true>;

template <class Loop>
class waiting {
public:
    waiting(Loop& l, ending e) : ending_(e), pair_(local_pair(l)) {
        if (e == ending::failure) {
            pair_.second.close();
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return pair_.second.async_wait(asio::socket_base::wait_read, std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            pair_.first.send(asio::buffer("abc", 3));
        } else if (ending_ == ending::cancellation) {
            pair_.second.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::bad_descriptor});
    }

private:
    ending ending_;
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair_;
};

template <class Loop>
class connecting {
public:
    connecting(Loop& l, ending e) : ending_(e), acceptor_(listener(l)), socket_(l.context()) {
        there_ = acceptor_.local_endpoint();
        if (e == ending::failure) {
            acceptor_.close();
        } else if (e == ending::cancellation) {
            deaf_ = std::make_unique<deaf_port>();
            there_ = deaf_->endpoint();
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return socket_.async_connect(there_, std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::cancellation) {
            socket_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::connection_refused});
    }

private:
    ending ending_;
    typename Loop::tcp_acceptor acceptor_;
    std::unique_ptr<deaf_port> deaf_;
    typename Loop::tcp_socket socket_;
    tcp::endpoint there_;
};

/// What waits at an acceptor for a client.
template <class Loop>
class awaiting_client {
public:
    awaiting_client(Loop& l, ending e)
        : acceptor_(listener(l)), ending_(e), client_(l.context()) {
        there_ = acceptor_.local_endpoint();
        if (e == ending::failure) {
            acceptor_.close();
        }
    }
    void cause() {
        if (ending_ == ending::success) {
            client_.connect(there_);
        } else if (ending_ == ending::cancellation) {
            acceptor_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::bad_descriptor});
    }

protected:
    typename Loop::tcp_acceptor acceptor_;

private:
    ending ending_;
    typename Loop::tcp_socket client_;
    tcp::endpoint there_;
};

/// Accepts into a socket that is there (`Moves` false) or into a new one.
template <class Loop, bool Moves>
class accepting : public awaiting_client<Loop> {
public:
    accepting(Loop& l, ending e) : awaiting_client<Loop>(l, e), server_(l.context()) {}
    template <class Token>
    auto start(Token&& token) {
        if constexpr (Moves) {
            return this->acceptor_.async_accept(std::forward<Token>(token));
        } else {
            return this->acceptor_.async_accept(server_, peer_, std::forward<Token>(token));
        }
    }

private:
    typename Loop::tcp_socket server_;
    tcp::endpoint peer_;
};
template <class Loop>
using accepting_into = accepting<Loop, false>;
template <class Loop>
using accepting_new = accepting<Loop, true>;

/// A wait that cannot fail; that ending is a cancellation, too.
template <class Object>
class awaiting {
public:
    template <class... Args>
    explicit awaiting(ending e, Args&&... args)
        : ending_(e), object_(std::forward<Args>(args)...) {}
    template <class Token>
    auto start(Token&& token) {
        return object_.async_wait(std::forward<Token>(token));
    }
    void cause() {
        if (ending_ != ending::success) {
            object_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::operation_aborted});
    }

protected:
    ending ending_;
    Object object_;
};

template <class Loop, class Clock>
class expiring_on : public awaiting<typename Loop::template timer_of<Clock>> {
public:
    expiring_on(Loop& l, ending e)
        : awaiting<typename Loop::template timer_of<Clock>>(
              e, l.context(),
              e == ending::success ? std::chrono::microseconds(200) : std::chrono::hours(1)) {}
};
template <class Loop>
using expiring = expiring_on<Loop, std::chrono::steady_clock>;

/// Eight bytes by as many receives as it takes.
template <class Loop>
class reading {
public:
    reading(Loop& l, ending e) : ending_(e), pair_(tcp_pair(l)) {
        if (e != ending::cancellation) {
            pair_.first.send(asio::buffer("abc", 3));
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return asio::async_read(pair_.second, asio::buffer(in_), std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            pair_.first.send(asio::buffer("defgh", 5));
        } else if (ending_ == ending::failure) {
            pair_.first.close();
        } else {
            pair_.second.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::eof}) &&
               (ending_ != ending::success || std::string(in_, 8) == "abcdefgh");
    }

private:
    ending ending_;
    std::pair<typename Loop::tcp_socket, typename Loop::tcp_socket> pair_;
    char in_[8] = {};
};

/// Calls `each(type, name)` for each operation of sockets and timers.
template <class Loop, class Each>
void for_each_basic_operation(Each each) {
    each(std::type_identity<receiving<Loop>>{}, "a stream's async_receive");
    each(std::type_identity<sending<Loop>>{}, "a stream's async_write_some");
    each(std::type_identity<waiting<Loop>>{}, "a socket's async_wait");
    each(std::type_identity<connecting<Loop>>{}, "async_connect");
    each(std::type_identity<accepting_into<Loop>>{}, "async_accept into a socket");
    each(std::type_identity<accepting_new<Loop>>{}, "async_accept");
    each(std::type_identity<expiring<Loop>>{}, "a timer's async_wait");
}

/// Calls `body(operation)` with a new operation of each of those kinds, and of a composed one, for
/// each of its endings.
template <class Loop, class Body>
void for_each_ending(Loop& l, Body body) {
    const auto each = [&]<class Operation>(std::type_identity<Operation>, const char* name) {
        for (const ending e : endings) {
            BOOST_TEST_CONTEXT(name << ", " << e) {
                Operation operation(l, e);
                body(operation);
            }
        }
    };
    for_each_basic_operation<Loop>(each);
    each(std::type_identity<reading<Loop>>{}, "async_read");
}

/// A context that runs on a thread of its own until it is out of work, and then calls a function.
template <class Context>
class background {
public:
    background(Context& c, std::function<void()> then)
        : context_(c), guard_([this] { context_.stop(); }), thread_([this, then] {
              context_.restart();
              context_.run();
              then();
          }) {}
    ~background() {
        if (thread_.joinable()) {
            context_.stop();
            join();
        }
    }
    background(const background&) = delete;
    background& operator=(const background&) = delete;

    std::thread::id id() const { return thread_.get_id(); }
    void join() { thread_.join(); }

private:
    Context& context_;
    watchdog guard_;
    std::thread thread_;
};

}  // namespace test
