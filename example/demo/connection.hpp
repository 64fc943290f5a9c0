#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace demo {

/// A client's connection to a port of 127.0.0.1, on bare system calls, so that the load takes the
/// same from every server. Members throw `std::runtime_error`; none waits but the constructor.
class connection {
public:
    explicit connection(std::uint16_t port);
    connection(connection&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
    connection& operator=(connection&&) = delete;
    ~connection();

    int descriptor() const noexcept { return socket_; }
    /// Sends all of it.
    void send(std::string_view text) const;
    /// Gives how many bytes there were, 0 for none.
    std::size_t receive(char* data, std::size_t size) const;

private:
    int socket_;
};

}  // namespace demo
