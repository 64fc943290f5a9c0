// Boost.Process starts processes from handlers while several threads run the context.

#include <boost/version.hpp>

// Header-only in these versions.
#if BOOST_VERSION < 108600 && __has_include(<boost/process/v2.hpp>)
#define RUNG_HAS_BOOST_PROCESS
#endif

#if defined(RUNG_HAS_BOOST_PROCESS)
#include <boost/process/v2.hpp>
#include <boost/process/v2/posix/fork_and_forget_launcher.hpp>
#include <boost/process/v2/posix/vfork_launcher.hpp>
#endif

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "time_limit.hpp"

#if defined(RUNG_HAS_BOOST_PROCESS)

namespace asio = boost::asio;
namespace process = boost::process::v2;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

struct fixture : test::time_limit {
    explicit fixture(int count = 3) {
        for (int i = 0; i < count; ++i) {
            threads.emplace_back([this] { context.run(); });
        }
    }
    ~fixture() {
        work.reset();
        context.stop();
        for (std::thread& t : threads) {
            t.join();
        }
    }

    rung::io_context context;
    asio::executor_work_guard<rung::executor> work = asio::make_work_guard(context);
    std::vector<std::thread> threads;
};

using any_process = process::basic_process<asio::any_io_executor>;

/// Starts a process in a handler; gives its exit code.
template <class Launch>
int exit_code(rung::io_context& context, Launch launch) {
    auto code = std::make_shared<std::promise<int>>();
    std::future<int> end = code->get_future();
    asio::post(context, [&context, launch, code] {
        try {
            auto p =
                std::make_shared<any_process>(launch(asio::any_io_executor(context.get_executor()),
                                                     std::vector<std::string>{"-c", "exit 7"}));
            code->set_value(p->wait());
        } catch (...) {
            code->set_exception(std::current_exception());
        }
    });
    return end.wait_for(20s) == std::future_status::ready ? end.get() : -2;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(processes, fixture)

BOOST_AUTO_TEST_CASE(are_started_by_the_default_launcher) {
    for (int i = 0; i < 8; ++i) {
        BOOST_TEST(exit_code(context, [](auto executor, const auto& arguments) {
                       return any_process(executor, "/bin/sh", arguments);
                   }) == 7);
    }
}

BOOST_AUTO_TEST_CASE(are_started_by_fork_and_forget) {
    for (int i = 0; i < 8; ++i) {
        BOOST_TEST(exit_code(context, [](auto executor, const auto& arguments) {
                       return process::posix::fork_and_forget_launcher()(executor, "/bin/sh",
                                                                         arguments);
                   }) == 7);
    }
}

/// The child tells the context in its parent's memory of the fork. Stock 1.81 then loses its reactor.
BOOST_AUTO_TEST_CASE(are_started_by_vfork_and_leave_the_context_running) {
    for (int i = 0; i < 8; ++i) {
        BOOST_TEST(exit_code(context, [](auto executor, const auto& arguments) {
                       return process::posix::vfork_launcher()(executor, "/bin/sh", arguments);
                   }) == 7);
        rung::native<asio::steady_timer> timer(context, 1ms);
        BOOST_TEST((timer.async_wait(asio::use_future).wait_for(20s) == std::future_status::ready));
    }
}

BOOST_AUTO_TEST_CASE(are_handed_from_the_context_that_launched_them_to_another) {
    rung::io_context launching;
    BOOST_TEST(exit_code(context, [&](auto executor, const auto& arguments) {
                   any_process p(asio::any_io_executor(launching.get_executor()), "/bin/sh",
                                 arguments);
                   return any_process(executor, p.detach().id());
               }) == 7);
}

BOOST_AUTO_TEST_SUITE_END()

#else

BOOST_AUTO_TEST_CASE(boost_process_is_not_header_only) {
    BOOST_TEST_MESSAGE("skipped: Boost.Process v2 is not here, or needs its library");
}

#endif
