#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>

#include "child_process.hpp"

/// Server processes, clients, and what passes between them.
namespace test {

using rung::ipc::bytes;

inline bytes bytes_of(const std::string& text) {
    const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
    return {begin, begin + text.size()};
}
inline std::string text_of(const bytes& b) {
    return {reinterpret_cast<const char*>(b.data()), b.size()};
}

/// A name that no other test uses, without a file.
inline std::string fresh_name() {
    static int number = 0;
    return "@rung-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
}

/// What the tests' servers do: "echo:…" comes back, "fail" fails, "throw" throws, "large:N" gives N
/// bytes, "count:N" reports N steps, "wait" goes on until it is cancelled, "stay" likewise without
/// ever running, at one step of two.
class service {
public:
    explicit service(rung::io_context& ctx) : context_(&ctx) {}

    rung::operation<bytes, rung::ipc::progress> operator()(const bytes& arguments) const {
        const std::string text = text_of(arguments);
        auto [source, op] = rung::make_operation<bytes, rung::ipc::progress>();
        const std::string rest = text.substr(std::min(text.size(), text.find(':') + 1));
        if (text == "throw") {
            throw std::runtime_error("from a service");
        }
        if (text == "fail") {
            source.set_failed(boost::asio::error::access_denied);
        } else if (text.starts_with("echo:")) {
            source.set_done(bytes_of(rest));
        } else if (text.starts_with("large:")) {
            source.set_done(bytes(std::stoul(rest)));
        } else if (text == "wait" || text == "stay") {
            auto kept = std::make_shared<decltype(source)>(std::move(source));
            if (text == "wait") {
                kept->set_running();
            } else {
                kept->set_progress({1, 2});
            }
            kept->on_cancel(
                boost::asio::bind_executor(*context_, [kept] { kept->set_cancelled(); }));
        } else if (text.starts_with("count:")) {
            count(std::move(source), 0, std::stoul(rest));
        }
        return std::move(op);  // abandoned, if it is none of these
    }

private:
    using producer = rung::operation_source<bytes, rung::ipc::progress>;
    void count(producer p, std::uint64_t done, std::uint64_t total) const {
        p.set_running();
        p.set_progress({done, total});
        if (done == total) {
            return p.set_done(bytes_of("counted"));
        }
        auto timer = std::make_shared<rung::native<boost::asio::steady_timer>>(
            *context_, std::chrono::milliseconds(1));
        timer->async_wait([*this, timer, p = std::move(p), done, total](auto) mutable {
            count(std::move(p), done + 1, total);
        });
    }

    rung::io_context* context_;
};

/// A server in a process of its own, until it is killed.
class server_process {
public:
    explicit server_process(const std::string& name, rung::ipc::server_options options = {})
        : process_([&] { serve(name, options); }) {
        ready_.await();
    }
    void kill() { process_.kill(); }

private:
    /// Tells one process that another one has come to a point.
    class signal {
    public:
        signal() { BOOST_REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0); }
        ~signal() {
            ::close(ends_[0]);
            if (ends_[1] != -1) {
                ::close(ends_[1]);
            }
        }
        signal(const signal&) = delete;
        signal& operator=(const signal&) = delete;

        bool give() const { return ::write(ends_[1], "x", 1) == 1; }
        void await() {
            ::close(std::exchange(ends_[1], -1));  // so that the other process's end is one, too
            char byte = 0;
            BOOST_REQUIRE(::read(ends_[0], &byte, 1) == 1);
        }

    private:
        int ends_[2];
    };

    void serve(const std::string& name, const rung::ipc::server_options& options) const {
        rung::io_context ctx(1);
        const rung::ipc::server server(ctx, name, service(ctx), options);
        ctx.poll();
        if (ready_.give()) {
            ctx.run();
        }
    }

    signal ready_;
    child_process process_;
};

/// A context that runs on a thread of its own.
class running_context {
public:
    running_context()
        : work_(boost::asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
    ~running_context() {
        work_.reset();
        context_.stop();
        thread_.join();
    }
    running_context(const running_context&) = delete;
    running_context& operator=(const running_context&) = delete;
    rung::io_context& context() { return context_; }

private:
    rung::io_context context_;
    boost::asio::executor_work_guard<rung::executor> work_;
    std::thread thread_;
};

}  // namespace test
