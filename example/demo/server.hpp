#pragma once

#include <boost/asio.hpp>
#include <chrono>
#include <rung/priority.hpp>
#include <string>
#include <utility>

#include "protocol.hpp"

namespace demo {

namespace asio = boost::asio;
using asio::ip::tcp;

/// An ordinary Asio TCP server on two ports; see protocol.hpp. Nothing in it names a context: the
/// same source serves on `asio::io_context` and on `rung::io_context`.
template <class Context>
class server {
    using executor = typename Context::executor_type;
    using socket = asio::basic_stream_socket<tcp, executor>;
    using acceptor = asio::basic_socket_acceptor<tcp, executor>;
    using timer =
        asio::basic_waitable_timer<std::chrono::steady_clock,
                                   asio::wait_traits<std::chrono::steady_clock>, executor>;
    using task = asio::awaitable<void, executor>;
    using session = task (server::*)(socket);

public:
    /// The one line about priorities: what the control port accepts inherits its executor, and with
    /// it the high priority. A context without priorities gives the executor back as it is.
    server(Context& context, ports p)
        : bulk_(context.get_executor(), loopback(p.bulk)),
          control_(rung::with_priority(context.get_executor(), rung::priority::high),
                   loopback(p.control)) {}

    ports listening_on() const {
        return {bulk_.local_endpoint().port(), control_.local_endpoint().port()};
    }

    /// Begins to serve; the context must be run.
    void start() {
        asio::co_spawn(bulk_.get_executor(), accept(bulk_, &server::serve_bulk), asio::detached);
        asio::co_spawn(control_.get_executor(), accept(control_, &server::serve_control),
                       asio::detached);
    }

private:
    static constexpr std::size_t longest_line = 65'536;

    static tcp::endpoint loopback(std::uint16_t port) {
        return {asio::ip::address_v4::loopback(), port};
    }
    static auto token() { return asio::as_tuple(asio::use_awaitable_t<executor>{}); }

    task accept(acceptor& listening, session serve) {
        for (;;) {
            auto [error, peer] = co_await listening.async_accept(token());
            if (error) {  // out of descriptors, most likely: some may come back
                timer pause(listening.get_executor(), std::chrono::milliseconds(10));
                co_await pause.async_wait(token());
                continue;
            }
            peer.set_option(tcp::no_delay(true), error);
            const executor ex = peer.get_executor();
            asio::co_spawn(ex, (this->*serve)(std::move(peer)), asio::detached);
        }
    }

    task serve_bulk(socket peer) {
        std::string data;
        for (;;) {
            const auto [read_error, size] = co_await asio::async_read_until(
                peer, asio::dynamic_buffer(data, longest_line), '\n', token());
            if (read_error) {
                co_return;
            }
            const std::string answer = bulk_answer({data.data(), size - 1});
            data.erase(0, size);
            ++served_;
            const auto [write_error, written] =
                co_await asio::async_write(peer, asio::buffer(answer), token());
            if (write_error) {
                co_return;
            }
        }
    }

    task serve_control(socket peer) {
        std::string data;
        bool http = false;
        for (;;) {
            const auto [read_error, size] = co_await asio::async_read_until(
                peer, asio::dynamic_buffer(data, longest_line), '\n', token());
            if (read_error) {
                co_return;
            }
            std::string line = data.substr(0, data.find_last_not_of("\r\n", size - 1) + 1);
            data.erase(0, size);
            http = http || line.starts_with("GET ");
            if (http && !line.empty()) {
                continue;  // a request ends with an empty line
            }
            const std::string answer = control_answer(line, http, served_);
            const auto [write_error, written] =
                co_await asio::async_write(peer, asio::buffer(answer), token());
            if (write_error || http) {
                co_return;
            }
        }
    }

    acceptor bulk_;
    acceptor control_;
    std::uint64_t served_ = 0;
};

}  // namespace demo
