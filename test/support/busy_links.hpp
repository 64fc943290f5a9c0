#pragma once

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <memory>
#include <rung/rung.hpp>
#include <thread>
#include <vector>

namespace test {

/// Threads that run a context and are busy with calls of operations that a slot may cancel: messages
/// between pairs of sockets, each of which is followed by the next.
class busy_links {
    using local = boost::asio::local::stream_protocol;

    struct link {
        explicit link(rung::io_context& context) : a(context), b(context) {
            boost::asio::local::connect_pair(a, b);
        }
        void go_on() {
            a.async_send(boost::asio::buffer(out), [this](auto failed, std::size_t) {
                if (!failed) {
                    receive();
                }
            });
        }
        void receive() {
            b.async_receive(boost::asio::buffer(in),
                            boost::asio::bind_cancellation_slot(signal->slot(),
                                                                [this](auto failed, std::size_t) {
                                                                    if (!failed) {
                                                                        go_on();
                                                                    }
                                                                }));
        }

        rung::native<local::socket> a;
        rung::native<local::socket> b;
        std::unique_ptr<boost::asio::cancellation_signal> signal =
            std::make_unique<boost::asio::cancellation_signal>();
        std::array<char, 64> out{};
        std::array<char, 64> in{};
    };

public:
    busy_links(rung::io_context& context, int threads) : context_(context) {
        for (int i = 0; i < 2 * threads; ++i) {
            links_.push_back(std::make_unique<link>(context));
            links_.back()->go_on();
        }
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back([&context] { context.run(); });
        }
    }
    ~busy_links() {
        context_.stop();
        for (std::thread& t : threads_) {
            t.join();
        }
    }
    busy_links(const busy_links&) = delete;
    busy_links& operator=(const busy_links&) = delete;

    /// In the child of a fork, which has none of the threads. One may have been in the middle of a
    /// change of a signal, which is nobody's to destroy then.
    void destroy_sockets() {
        for (const auto& l : links_) {
            static_cast<void>(l->signal.release());
        }
        links_.clear();
    }

private:
    rung::io_context& context_;
    std::vector<std::unique_ptr<link>> links_;
    std::vector<std::thread> threads_;
};

}  // namespace test
