#pragma once

#include <unistd.h>

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/basic_seq_packet_socket.hpp>
#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/deadline_timer.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <csignal>

#include "descriptor_endings.hpp"
#include "wait_endings.hpp"

/// As endings.hpp, for datagrams, names, signals and deadlines; and the table of all operations.
namespace test {

template <class Loop, class Protocol>
using datagram_of = asio::basic_datagram_socket<Protocol, typename Loop::executor_type>;

/// A datagram, with its sender (`Sender` true) or without, from a socket connected to nobody, or to a
/// port where nobody is.
template <class Loop, bool Sender>
class receiving_datagram {
    using udp = asio::ip::udp;

public:
    receiving_datagram(Loop& l, ending e)
        : ending_(e),
          socket_(l.context(), here()),
          peer_(l.context(), here()),
          peer_endpoint_(peer_.local_endpoint()) {
        if (e == ending::failure) {
            socket_.connect(peer_endpoint_);
            peer_.close();
        }
    }
    template <class Token>
    auto start(Token&& token) {
        if constexpr (Sender) {
            return socket_.async_receive_from(asio::buffer(in_), sender_,
                                              std::forward<Token>(token));
        } else {
            return socket_.async_receive(asio::buffer(in_), std::forward<Token>(token));
        }
    }
    void cause() {
        if (ending_ == ending::success) {
            peer_.send_to(asio::buffer("abc", 3), socket_.local_endpoint());
        } else if (ending_ == ending::failure) {
            socket_.send(asio::buffer("abc", 3));
        } else {
            socket_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::connection_refused}) &&
               (ending_ != ending::success ||
                (std::string(in_, 3) == "abc" && (!Sender || sender_ == peer_endpoint_)));
    }

private:
    static udp::endpoint here() { return {asio::ip::address_v4::loopback(), 0}; }

    ending ending_;
    datagram_of<Loop, udp> socket_;
    datagram_of<Loop, udp> peer_;
    udp::endpoint peer_endpoint_;
    udp::endpoint sender_;
    char in_[8] = {};
};
template <class Loop>
using receiving_from = receiving_datagram<Loop, true>;
template <class Loop>
using receiving_from_peer = receiving_datagram<Loop, false>;

/// A datagram to a peer whose queue is full.
template <class Loop>
class sending_datagram {
    using socket = datagram_of<Loop, asio::local::datagram_protocol>;

public:
    sending_datagram(Loop& l, ending e) : ending_(e), from_(l.context()), to_(l.context()) {
        asio::local::connect_pair(from_, to_);
        from_.non_blocking(true);
        error_code ec;
        for (from_.send(asio::buffer("x", 1), 0, ec); !ec; ++sent_) {
            from_.send(asio::buffer("x", 1), 0, ec);
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return from_.async_send(asio::buffer("abc", 3), std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            char in[1];
            for (; sent_ > 0; --sent_) {
                to_.receive(asio::buffer(in));
            }
        } else if (ending_ == ending::failure) {
            to_.close();
        } else {
            from_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec,
                           {asio::error::connection_refused, asio::error::connection_reset,
                            asio::error::not_connected});
    }

private:
    ending ending_;
    socket from_;
    socket to_;
    int sent_ = 0;
};

/// A datagram to an address, at once.
template <class Loop>
class sending_to {
    using udp = asio::ip::udp;

public:
    sending_to(Loop& l, ending e)
        : ending_(e),
          socket_(l.context(), udp::endpoint(asio::ip::address_v4::loopback(), 0)),
          out_(e == ending::success ? 3 : 70'000, 'x') {}
    template <class Token>
    auto start(Token&& token) {
        return socket_.async_send_to(asio::buffer(out_), socket_.local_endpoint(),
                                     std::forward<Token>(token));
    }
    void cause() {}
    bool expects(error_code ec) const {
        return ec == (ending_ == ending::success ? error_code() : asio::error::message_size);
    }

private:
    ending ending_;
    datagram_of<Loop, udp> socket_;
    std::string out_;
};

/// A packet and its flags. The end of the connection is an empty packet and no failure.
template <class Loop>
class receiving_packet {
    using protocol = asio::generic::seq_packet_protocol;

public:
    receiving_packet(Loop& l, ending e) : ending_(e), socket_(l.context()) {
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
        socket_.assign(protocol(AF_UNIX, 0), ends[0]);
        peer_ = ends[1];
        if (e == ending::failure) {
            socket_.close();
        }
    }
    ~receiving_packet() {
        socket_.close();
        ::close(peer_);
    }
    receiving_packet(const receiving_packet&) = delete;
    receiving_packet& operator=(const receiving_packet&) = delete;
    template <class Token>
    auto start(Token&& token) {
        return socket_.async_receive(asio::buffer(in_), flags_, std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            BOOST_TEST(::send(peer_, "abcdefgh", 8, 0) == 8);
        } else if (ending_ == ending::cancellation) {
            socket_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::bad_descriptor}) &&
               (ending_ != ending::success || (flags_ & MSG_TRUNC) != 0);
    }

private:
    ending ending_;
    asio::basic_seq_packet_socket<protocol, typename Loop::executor_type> socket_;
    int peer_ = -1;
    asio::socket_base::message_flags flags_ = 0;
    char in_[3] = {};
};

/// A name that needs no server, or (`Reverse` true) that of this machine, which cannot fail. Nobody
/// cancels them: they succeed, too, unless an end of another kind comes first.
template <class Loop, bool Reverse>
class looking_up {
public:
    static constexpr bool may_succeed_in_any_case = true;

    looking_up(Loop& l, ending e) : ending_(e), resolver_(l.context()) {}
    template <class Token>
    auto start(Token&& token) {
        if constexpr (Reverse) {
            return resolver_.async_resolve({asio::ip::address_v4::loopback(), 80},
                                           std::forward<Token>(token));
        } else {
            return resolver_.async_resolve(ending_ == ending::failure ? "no number" : "127.0.0.1",
                                           "80", tcp::resolver::numeric_host,
                                           std::forward<Token>(token));
        }
    }
    void cause() {}
    bool expects(error_code ec) const {
        if (ending_ == ending::cancellation && Reverse && ec == asio::error::operation_aborted) {
            return true;
        }
        return !Reverse && ending_ == ending::failure ? ec == asio::error::host_not_found : !ec;
    }

private:
    ending ending_;
    asio::ip::basic_resolver<tcp, typename Loop::executor_type> resolver_;
};
template <class Loop>
using resolving = looking_up<Loop, false>;
template <class Loop>
using resolving_address = looking_up<Loop, true>;

template <class Loop>
class awaiting_signal : public awaiting<asio::basic_signal_set<typename Loop::executor_type>> {
    using base = awaiting<asio::basic_signal_set<typename Loop::executor_type>>;

public:
    awaiting_signal(Loop& l, ending e) : base(e, l.context(), SIGUSR1) {}
    void cause() {
        if (this->ending_ == ending::success) {
            std::raise(SIGUSR1);
        }
        base::cause();
    }
};

template <class Loop>
using deadline_timer_of =
    asio::basic_deadline_timer<boost::posix_time::ptime,
                               asio::time_traits<boost::posix_time::ptime>,
                               typename Loop::executor_type>;

template <class Loop>
class awaiting_deadline : public awaiting<deadline_timer_of<Loop>> {
public:
    awaiting_deadline(Loop& l, ending e)
        : awaiting<deadline_timer_of<Loop>>(
              e, l.context(),
              boost::posix_time::milliseconds(e == ending::success ? 1 : 3'600'000)) {}
};

/// Calls `body(type, name)` for each operation of each I/O object, those of endings.hpp too.
template <class Loop, class Body>
void for_each_operation(Body body) {
    const auto each = [&]<class Operation>(std::type_identity<Operation> type, const char* name) {
        BOOST_TEST_CONTEXT(name) {
            body(type);
        }
    };
    for_each_basic_operation<Loop>(each);
    each(std::type_identity<receiving_with_flags<Loop>>{}, "a stream's async_receive with flags");
    each(std::type_identity<sending_with_flags<Loop>>{}, "a stream's async_send with flags");
    each(std::type_identity<waiting_to_write<Loop>>{}, "a socket's async_wait to write");
    each(std::type_identity<waiting_to_accept<Loop>>{}, "an acceptor's async_wait");
    each(std::type_identity<waiting_for_datagram<Loop>>{}, "a datagram socket's async_wait");
    each(std::type_identity<connecting_datagrams<Loop>>{}, "a datagram socket's async_connect");
    each(std::type_identity<receiving_from<Loop>>{}, "async_receive_from");
    each(std::type_identity<receiving_from_peer<Loop>>{}, "a datagram socket's async_receive");
    each(std::type_identity<sending_datagram<Loop>>{}, "a datagram socket's async_send");
    each(std::type_identity<sending_to<Loop>>{}, "async_send_to");
    each(std::type_identity<receiving_packet<Loop>>{}, "async_receive with flags");
    each(std::type_identity<reading_pipe<Loop>>{}, "a pipe's async_read_some");
    each(std::type_identity<writing_pipe<Loop>>{}, "a pipe's async_write_some");
    each(std::type_identity<reading_descriptor<Loop>>{}, "a descriptor's async_read_some");
    each(std::type_identity<writing_descriptor<Loop>>{}, "a descriptor's async_write_some");
    each(std::type_identity<reading_serial_port<Loop>>{}, "a serial port's async_read_some");
    each(std::type_identity<waiting_for_descriptor<Loop>>{}, "a descriptor's async_wait");
    each(std::type_identity<resolving<Loop>>{}, "async_resolve");
    each(std::type_identity<resolving_address<Loop>>{}, "async_resolve of an address");
    each(std::type_identity<expiring_on<Loop, std::chrono::system_clock>>{},
         "a system timer's async_wait");
    each(std::type_identity<awaiting_signal<Loop>>{}, "a signal set's async_wait");
    each(std::type_identity<awaiting_deadline<Loop>>{}, "a deadline timer's async_wait");
}

}  // namespace test
