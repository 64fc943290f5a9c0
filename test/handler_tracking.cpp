// Asio's handler tracking follows our operations as it follows its own.
#define BOOST_ASIO_ENABLE_HANDLER_TRACKING

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <rung/rung.hpp>
#include <string>
#include <utility>
#include <vector>

#include "contexts.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

/// What `f` makes the process write to standard error, line by line.
template <class F>
std::vector<std::string> standard_error_of(F f) {
    std::FILE* const file = std::tmpfile();
    BOOST_TEST_REQUIRE(file != nullptr);
    const int saved = ::dup(STDERR_FILENO);
    ::dup2(::fileno(file), STDERR_FILENO);
    f();
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    std::rewind(file);
    std::vector<std::string> lines;
    char line[512];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        lines.emplace_back(line);
        lines.back().pop_back();
    }
    std::fclose(file);
    return lines;
}

/// The handlers' births, calls and deaths among the lines, without times and addresses, and with
/// the handlers numbered from 1.
std::vector<std::string> events_in(const std::vector<std::string>& lines) {
    static const std::regex pattern(R"(@asio\|[0-9.]+\|(\d*)([*><~!])(\d+)\|(.*))");
    static const std::regex address("@0x[0-9a-f]+");
    std::map<std::string, std::string> numbers{{"0", "0"}, {"", ""}};
    std::vector<std::string> events;
    for (const std::string& line : lines) {
        std::smatch m;
        if (!std::regex_match(line, m, pattern)) {
            continue;
        }
        numbers.try_emplace(m[3], std::to_string(numbers.size() - 1));
        events.push_back(numbers[m[1]] + m[2].str() + numbers[m[3]] + "|" +
                         std::regex_replace(m[4].str(), address, ""));
    }
    return events;
}

template <class Context>
std::vector<std::string> tracked_posts() {
    return events_in(standard_error_of([] {
        Context ctx;
        asio::post(ctx, [&] {
            asio::post(ctx, [] {});
            asio::dispatch(ctx, [] {});
        });
        ctx.run();
        ctx.restart();
        asio::post(ctx, [] {});  // never called
    }));
}

template <class Context>
std::vector<std::string> tracked_timers() {
    return events_in(standard_error_of([] {
        Context ctx;
        test::timer_of<Context> soon(ctx, 1ms);
        test::timer_of<Context> far(ctx, 1h);
        far.async_wait([](error_code) {});
        soon.async_wait([&](error_code) {
            far.cancel();
            asio::post(ctx, [] {});
        });
        ctx.run();
    }));
}

template <class Context>
std::vector<std::string> tracked_coroutine() {
    return events_in(standard_error_of([] {
        Context ctx;
        asio::co_spawn(
            ctx,
            [&]() -> asio::awaitable<void> {
                test::timer_of<Context> soon(ctx, 1ms);
                co_await soon.async_wait(asio::use_awaitable);
                co_await asio::post(asio::use_awaitable);
            },
            asio::detached);
        ctx.run();
    }));
}

}  // namespace

BOOST_AUTO_TEST_CASE(posts_are_followed) {
    const std::vector<std::string> expected{
        "0*1|io_context.execute", ">1|", "1*2|io_context.execute", "<1|", ">2|", "<2|",
        "0*3|io_context.execute", "~3|"};
    BOOST_TEST(tracked_posts<rung::io_context>() == expected, boost::test_tools::per_element());
    BOOST_TEST(tracked_posts<asio::io_context>() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(timers_are_followed) {
    const auto events = tracked_timers<rung::io_context>();
    BOOST_TEST(events.size() == 9U);
    BOOST_TEST(events == tracked_timers<asio::io_context>(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(coroutines_are_followed) {
    const auto events = tracked_coroutine<rung::io_context>();
    BOOST_TEST(events.size() > 6U);
    BOOST_TEST(events == tracked_coroutine<asio::io_context>(), boost::test_tools::per_element());
}
