#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <rung/rung.hpp>
#include <tuple>

/// For cases that are written once and run on stock Asio's context, too, which thereby says what is
/// right.
namespace test {

struct asio_of_one_thread : boost::asio::io_context {
    asio_of_one_thread() : boost::asio::io_context(1) {}
};
struct rung_of_one_thread : rung::io_context {
    rung_of_one_thread() : rung::io_context(1) {}
};

using contexts =
    std::tuple<boost::asio::io_context, asio_of_one_thread, rung::io_context, rung_of_one_thread>;
/// Without stock Asio's of one thread, which takes a handler that polls for the end of all work.
using nesting_contexts = std::tuple<boost::asio::io_context, rung::io_context, rung_of_one_thread>;
/// Those that any number of threads may run.
using shared_contexts = std::tuple<boost::asio::io_context, rung::io_context>;

template <class Context>
using timer_of =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                      boost::asio::wait_traits<std::chrono::steady_clock>,
                                      typename Context::executor_type>;

/// Longer than anything that a test waits for: reached only where the test fails.
inline constexpr std::chrono::seconds long_enough{20};

}  // namespace test
