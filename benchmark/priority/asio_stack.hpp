#pragma once

// The Asio systems: one source for every context, the sessions being those of the echo benchmark.

#include "../echo/asio_server.hpp"
#include "urgent_handler.hpp"

#include <array>
#include <boost/asio/post.hpp>

namespace bench {

/// A context with an executor for each level; they are all the same where it has no priorities.
template <class Context>
class asio_stack {
public:
    using executor = typename Context::executor_type;

    asio_stack(Context& context, const std::array<executor, 3>& executors)
        : context_(context), executors_(executors) {}

    const executor& at(level l) const noexcept { return executors_[static_cast<unsigned>(l)]; }

    template <class F>
    void post(level l, F f) {
        asio::post(at(l), std::move(f));
    }

    template <class F>
    void post_from_elsewhere(level l, F f) {
        asio::post(at(l), std::move(f));
    }

    void run() { context_.run(); }
    void stop() { context_.stop(); }

private:
    Context& context_;
    std::array<executor, 3> executors_;
};

/// Floods the loop, and serves urgent connections on one port and bulk ones on another.
template <class Stack>
void serve_urgent_echo(control_link& link, Stack& stack, const priority_workload& workload) {
    using executor = typename Stack::executor;
    using protocol = asio::ip::tcp;
    using session = callback_session<protocol, executor>;
    std::list<session> sessions;
    const auto start = [&sessions](stream<protocol, executor> socket) {
        const auto position = sessions.emplace(sessions.end(), std::move(socket));
        position->read([&sessions, position] { sessions.erase(position); });
    };
    echo_acceptor<protocol, executor> urgent(stack.at(level::high));
    echo_acceptor<protocol, executor> bulk(stack.at(level::normal));
    urgent.run(start);
    bulk.run(start);
    flood<Stack> load(stack, workload);
    link.ready({urgent.port(), bulk.port()});
    stack.run();
}

/// Does what the arguments ask for.
template <class Stack>
void serve_priority_workload(control_link& link, Stack& stack, const priority_workload& workload) {
    if (workload.echo) {
        serve_urgent_echo(link, stack, workload);
    } else {
        urgent_handler_run<Stack>(stack, workload).run(link);
    }
}

/// Stock Asio has one level. Without another thread it may do without locks.
template <class Context>
void serve_stock_asio(control_link& link, const std::vector<std::string>& args) {
    const auto workload = priority_workload::from_arguments(args);
    Context context(workload.echo ? BOOST_ASIO_CONCURRENCY_HINT_UNSAFE : 1);
    const auto executor = context.get_executor();
    asio_stack<Context> stack(context, {executor, executor, executor});
    serve_priority_workload(link, stack, workload);
}

}  // namespace bench
