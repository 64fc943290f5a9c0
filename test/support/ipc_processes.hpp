#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>

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
/// bytes, "count:N" reports N steps, "wait" goes on until it is cancelled.
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
        } else if (text == "wait") {
            auto kept = std::make_shared<decltype(source)>(std::move(source));
            kept->set_running();
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
    explicit server_process(const std::string& name, rung::ipc::server_options options = {}) {
        int ready[2];
        BOOST_REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
        id_ = ::fork();
        BOOST_REQUIRE(id_ != -1);
        if (id_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::alarm(40);
            rung::io_context ctx(1);
            const rung::ipc::server server(ctx, name, service(ctx), options);
            ctx.poll();
            const bool told = ::write(ready[1], "x", 1) == 1;
            ctx.run();
            ::_exit(told ? 0 : 1);
        }
        ::close(ready[1]);
        char byte = 0;
        BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
        ::close(ready[0]);
    }
    ~server_process() { kill(); }
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;

    void kill() {
        if (id_ != -1) {
            ::kill(id_, SIGKILL);
            ::waitpid(id_, nullptr, 0);
            id_ = -1;
        }
    }

private:
    pid_t id_ = -1;
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
