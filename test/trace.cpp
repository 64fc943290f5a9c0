// What a recording holds: operations with their states, handlers at their priorities, spans.

#include <rung/trace.hpp>

#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <rung/rung.hpp>
#include <sstream>
#include <string>
#include <thread>

namespace asio = boost::asio;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++n;
    }
    return n;
}

std::string written() {
    std::ostringstream out;
    rung::trace::write(out);
    return out.str();
}

BOOST_AUTO_TEST_CASE(nothing_is_recorded_while_it_is_off) {
    BOOST_TEST(!rung::trace::enabled());
    auto [source, op] = rung::make_operation();
    source.set_done();
    BOOST_TEST(count(written(), "operation") == 0U);
}

BOOST_AUTO_TEST_CASE(operations_handlers_and_spans_are_recorded) {
    rung::io_context ctx;
    rung::trace::start();
    BOOST_TEST(rung::trace::enabled());
    auto [source, op] = rung::make_operation<int>();
    asio::post(rung::with_priority(ctx.get_executor(), rung::priority::high), [&source = source] {
        const rung::trace::span span("a phase");
        source.set_running();
    });
    asio::post(ctx, [&source = source] { source.set_failed(asio::error::eof); });
    ctx.run();
    const std::string text = written();
    BOOST_TEST(!rung::trace::enabled());
    BOOST_TEST(count(text, R"("ph":"b")") == 1U);
    BOOST_TEST(count(text, R"("state":"running")") == 1U);
    BOOST_TEST(count(text, R"("ph":"e")") == 1U);
    BOOST_TEST(count(text, R"("state":"failed")") == 1U);
    BOOST_TEST(count(text, R"("name":"handler")") == 2U);
    BOOST_TEST(count(text, R"("name":"a phase")") == 1U);
    BOOST_TEST(count(text, R"("ph":"B")") == count(text, R"("ph":"E")"));
    BOOST_TEST(count(text, ", high") >= 1U);
    BOOST_TEST(count(text, "{") == count(text, "}"));
    BOOST_TEST(rung::trace::dropped() == 0U);
}

BOOST_AUTO_TEST_CASE(a_start_forgets_what_was_before) {
    rung::trace::start();
    { const rung::trace::span span("old"); }
    rung::trace::start();
    { const rung::trace::span span("new"); }
    const std::string text = written();
    BOOST_TEST(count(text, "\"old\"") == 0U);
    BOOST_TEST(count(text, "\"new\"") == 1U);
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_ends_in_the_picture_too) {
    rung::io_context ctx;
    rung::trace::start();
    asio::post(ctx, [] { throw 1; });
    BOOST_CHECK_THROW(ctx.run(), int);
    const std::string text = written();
    BOOST_TEST(count(text, R"("ph":"E")") == 1U);
}

BOOST_AUTO_TEST_CASE(threads_record_while_it_is_written) {
    std::atomic<bool> over{false};
    std::thread worker([&] {
        while (!over) {
            const rung::trace::span span("work");
        }
    });
    for (int i = 0; i < 20; ++i) {
        rung::trace::start();
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        BOOST_TEST(!written().empty());
    }
    over = true;
    worker.join();
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error) {
    BOOST_CHECK_THROW(rung::trace::save("/nowhere/trace.json"), boost::system::system_error);
}

}  // namespace
