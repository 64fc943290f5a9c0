#pragma once

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/ip/udp.hpp>

#include "endings.hpp"

/// As endings.hpp, for waits until something else would not wait, and for the other operations that
/// transfer nothing.
namespace test {

/// For room in a stream that is full. The end of its peer makes it ready, too.
template <class Loop>
class waiting_to_write {
public:
    static constexpr bool may_succeed_in_any_case = true;

    waiting_to_write(Loop& l, ending e) : ending_(e), pair_(local_pair(l)) {
        const std::string block = pattern(65'536);
        pair_.first.non_blocking(true);
        error_code ec;
        while (!ec) {
            sent_ += pair_.first.send(asio::buffer(block), 0, ec);
        }
        if (e == ending::failure) {
            pair_.first.close();
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return pair_.first.async_wait(asio::socket_base::wait_write, std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            std::string in(sent_, '\0');
            asio::read(pair_.second, asio::buffer(in));
        } else if (ending_ == ending::cancellation) {
            pair_.first.cancel();
        }
    }
    bool expects(error_code ec) const {
        // Stock Asio may take late news of another socket, of which it reuses the memory, for this
        // one's.
        const bool misled = !Loop::ours && ending_ == ending::cancellation && !ec;
        return misled || is_expected(ending_, ec, {asio::error::bad_descriptor});
    }

private:
    ending ending_;
    std::pair<typename Loop::local_socket, typename Loop::local_socket> pair_;
    std::size_t sent_ = 0;
};

/// For a connection.
template <class Loop>
class waiting_to_accept : public awaiting_client<Loop> {
public:
    using awaiting_client<Loop>::awaiting_client;
    template <class Token>
    auto start(Token&& token) {
        return this->acceptor_.async_wait(asio::socket_base::wait_read,
                                          std::forward<Token>(token));
    }
};

/// A datagram socket on a free port of loopback.
template <class Loop>
auto bound_datagram_socket(Loop& l) {
    using udp = asio::ip::udp;
    return asio::basic_datagram_socket<udp, typename Loop::executor_type>(
        l.context(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
}

/// For a datagram.
template <class Loop>
class waiting_for_datagram {
public:
    waiting_for_datagram(Loop& l, ending e)
        : ending_(e), socket_(bound_datagram_socket(l)), peer_(bound_datagram_socket(l)) {
        there_ = socket_.local_endpoint();
        if (e == ending::failure) {
            socket_.close();
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return socket_.async_wait(asio::socket_base::wait_read, std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            peer_.send_to(asio::buffer("abc", 3), there_);
        } else if (ending_ == ending::cancellation) {
            socket_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::bad_descriptor});
    }

private:
    ending ending_;
    asio::basic_datagram_socket<asio::ip::udp, typename Loop::executor_type> socket_;
    asio::basic_datagram_socket<asio::ip::udp, typename Loop::executor_type> peer_;
    asio::ip::udp::endpoint there_;
};

/// To another socket, at once; or to an address of another family.
template <class Loop>
class connecting_datagrams {
    using udp = asio::ip::udp;

public:
    static constexpr bool may_succeed_in_any_case = true;

    connecting_datagrams(Loop& l, ending e)
        : ending_(e), socket_(bound_datagram_socket(l)), peer_(bound_datagram_socket(l)) {}
    template <class Token>
    auto start(Token&& token) {
        const auto there = ending_ == ending::failure
                               ? udp::endpoint(asio::ip::address_v6::loopback(), 9)
                               : peer_.local_endpoint();
        return socket_.async_connect(there, std::forward<Token>(token));
    }
    void cause() {}
    bool expects(error_code ec) const {
        const bool cancelled = ending_ == ending::cancellation;
        return is_expected(ending_, ec, {asio::error::address_family_not_supported}) ||
               (cancelled && !ec);  // at once, where nobody was in time
    }

private:
    ending ending_;
    asio::basic_datagram_socket<udp, typename Loop::executor_type> socket_;
    asio::basic_datagram_socket<udp, typename Loop::executor_type> peer_;
};

}  // namespace test
