#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <vector>

#include "child_process.hpp"

/// Peers of a kind that an I/O object of the same context cannot be.
namespace test {

/// A listening port that no longer answers: a connect to it stays in flight for seconds.
class deaf_port {
public:
    deaf_port() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const any = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        BOOST_REQUIRE(::bind(listener_, any, size) == 0);
        BOOST_REQUIRE(::listen(listener_, 0) == 0);
        BOOST_REQUIRE(::getsockname(listener_, any, &size) == 0);
        port_ = ntohs(address.sin_port);
        constexpr int more_than_the_queue_holds = 4;
        for (int i = 0; i < more_than_the_queue_holds; ++i) {
            const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            callers_.push_back(s);
            BOOST_REQUIRE((::connect(s, any, size) == 0 || errno == EINPROGRESS));
        }
    }
    ~deaf_port() {
        for (const int s : callers_) {
            ::close(s);
        }
        ::close(listener_);
    }
    deaf_port(const deaf_port&) = delete;
    deaf_port& operator=(const deaf_port&) = delete;

    boost::asio::ip::tcp::endpoint endpoint() const {
        return {boost::asio::ip::address_v4::loopback(), port_};
    }

private:
    int listener_;
    unsigned short port_ = 0;
    std::vector<int> callers_;
};

/// A process that connects to a port, sends one byte and does nothing more until it is killed.
class doomed_process : public child_process {
public:
    explicit doomed_process(unsigned short port)
        : child_process([port] {
              sockaddr_in address{};
              address.sin_family = AF_INET;
              address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
              address.sin_port = htons(port);
              const int s = ::socket(AF_INET, SOCK_STREAM, 0);
              const bool ok =
                  ::connect(s, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                  ::send(s, "x", 1, 0) == 1;
              while (ok) {
                  ::pause();
              }
          }) {}
};

}  // namespace test
