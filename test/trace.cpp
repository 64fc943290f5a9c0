// What a recording holds: operations with their states, handlers at their priorities, spans.

#include <rung/trace.hpp>

#include <boost/asio/post.hpp>
#include <boost/property_tree/json_parser.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <rung/rung.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

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

/// What is recorded, read as JSON.
struct picture {
    picture() {
        std::istringstream in(written());
        boost::property_tree::ptree all;
        boost::property_tree::read_json(in, all);
        for (const auto& [key, e] : all.get_child("traceEvents")) {
            events.push_back(e);
        }
    }
    /// The phases, in order, of what has this name and, unless that is empty, this category.
    std::string phases(const std::string& name, const std::string& category = "") const {
        std::string found;
        for (const auto& e : events) {
            if (e.get("name", "") == name && e.get("cat", "") == category) {
                found += e.get<std::string>("ph");
            }
        }
        return found;
    }
    std::string value_of(const std::string& name, const std::string& field) const {
        for (const auto& e : events) {
            if (e.get("name", "") == name && e.get("ph", "") != "M") {
                return e.get(field, "");
            }
        }
        return "";
    }
    std::vector<boost::property_tree::ptree> events;
};

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

BOOST_AUTO_TEST_CASE(a_fiber_has_its_turns_in_handlers_and_a_life_of_its_own) {
    rung::io_context ctx;
    rung::trace::start();
    rung::spawn(
        rung::with_priority(ctx.get_executor(), rung::priority::high), {.name = "worker"}, [] {
            const rung::trace::span span("a phase");
            rung::this_fiber::yield();
            rung::this_fiber::yield();
        });
    rung::spawn(ctx, [] { rung::this_fiber::yield(); });
    ctx.run();
    const picture p;
    BOOST_TEST(p.phases("worker") == "BBB");  // whose ends have no names
    BOOST_TEST(p.phases("worker", "fiber") == "be");
    BOOST_TEST(p.phases("a phase", "fiber") == "be");
    BOOST_TEST(p.phases("fiber") == "BB");
    BOOST_TEST(p.phases("fiber", "fiber") == "be");
    BOOST_TEST(p.phases("handler") == "BBBBB");
    BOOST_TEST(p.phases("") == std::string(10, 'E'));
    BOOST_TEST(p.value_of("worker", "tid") != p.value_of("fiber", "tid"));
    BOOST_TEST(p.value_of("worker", "id") != "");
}

BOOST_AUTO_TEST_CASE(a_fiber_is_seen_on_a_stock_context_too) {
    asio::io_context ctx;
    rung::trace::start();
    rung::spawn(ctx, [] { rung::this_fiber::yield(); });
    ctx.run();
    const picture p;
    BOOST_TEST(p.phases("fiber") == "BB");
    BOOST_TEST(p.phases("fiber", "fiber") == "be");
}

BOOST_AUTO_TEST_CASE(a_span_lies_on_the_track_of_its_handler) {
    rung::io_context ctx;
    rung::trace::start();
    asio::post(rung::with_priority(ctx.get_executor(), rung::priority::low),
               [] { const rung::trace::span span("low phase"); });
    asio::post(ctx, [] { const rung::trace::span span("phase"); });
    ctx.run();
    { const rung::trace::span span("outside"); }
    const picture p;
    BOOST_TEST(p.value_of("low phase", "tid") != p.value_of("phase", "tid"));
    BOOST_TEST(p.value_of("outside", "tid") == p.value_of("phase", "tid"));
}

BOOST_AUTO_TEST_CASE(what_began_before_the_recording_has_no_end_in_it) {
    rung::io_context ctx;
    rung::spawn(ctx, [] {
        rung::trace::start();
        const rung::trace::span span("seen");
    });
    ctx.run();
    const picture p;
    BOOST_TEST(p.phases("") == "");
    BOOST_TEST(p.phases("seen", "fiber") == "be");
}

BOOST_AUTO_TEST_CASE(names_may_hold_anything) {
    rung::trace::start();
    { const rung::trace::span span("\"quoted\" \\ and\na\x01"); }
    const picture p;
    BOOST_TEST(p.phases("\"quoted\" \\ and\na\x01") == "B");
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_counted) {
    rung::trace::start();
    for (int i = 0; i < (1 << 17) + 10; ++i) {
        const rung::trace::span span("many");
    }
    BOOST_TEST(rung::trace::dropped() == 20U);
    rung::trace::start();
    { const rung::trace::span span("one"); }
    BOOST_TEST(rung::trace::dropped() == 0U);
    rung::trace::stop();
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
