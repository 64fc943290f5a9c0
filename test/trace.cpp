// What a recording holds: operations with their states, handlers at their priorities, spans.

#include <rung/trace.hpp>

#include <unistd.h>
#include <boost/asio/post.hpp>
#include <boost/property_tree/json_parser.hpp>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <locale>
#include <rung/rung.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "thrown_by.hpp"
#include "trace_events.hpp"

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
    rung::spawn(rung::with_priority(ctx.get_executor(), rung::priority::high), {.name = "worker"},
                [] {
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

BOOST_AUTO_TEST_CASE(an_operation_from_before_the_recording_is_left_out) {
    auto [early, early_op] = rung::make_operation();
    auto [other, other_op] = rung::make_operation();
    other.set_running();
    rung::trace::start();
    early.set_running();
    early.set_done();
    early_op = {};
    auto [source, op] = rung::make_operation();  // maybe where the first one was
    other.set_cancelled();
    source.set_running();
    source.set_done();
    BOOST_TEST(picture().phases("operation", "operation") == "bne");
}

/// Groups digits, as locales of some countries do.
struct grouping : std::numpunct<char> {
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
};

BOOST_AUTO_TEST_CASE(the_locale_and_the_flags_of_the_stream_do_not_matter) {
    rung::trace::start();
    { const rung::trace::span span("somewhere"); }
    const auto [source, op] = rung::make_operation();
    const std::string expected = written();
    const std::locale before = std::locale::global(std::locale(std::locale(), new grouping));
    std::ostringstream out;
    out << std::hex << std::showbase << std::setw(40);
    rung::trace::write(out);
    std::locale::global(before);
    BOOST_TEST(out.str() == expected);
}

BOOST_AUTO_TEST_CASE(a_start_frees_what_dead_threads_have_recorded) {
    const auto recordings = [] {
        auto& all = rung::detail::trace_registry::instance();
        const std::lock_guard lock(all.mutex);
        return all.threads.size();
    };
    rung::trace::start();
    const std::size_t before = recordings();
    std::thread([] { const rung::trace::span span("short"); }).join();
    BOOST_TEST(recordings() == before + 1);
    BOOST_TEST(count(written(), "short") == 1U);
    rung::trace::start();
    BOOST_TEST(recordings() == before);
    rung::trace::stop();
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
    const auto error_at = [](const char* path) {
        rung::trace::start();
        { const rung::trace::span span("written"); }
        return test::thrown_by([&] { rung::trace::save(path); });
    };
    const auto code = [](int error) {
        return boost::system::error_code(error, boost::system::system_category());
    };
    BOOST_TEST(error_at("/nowhere/trace.json") == code(ENOENT));
    BOOST_TEST(error_at("/dev/full") == code(ENOSPC));
}

BOOST_AUTO_TEST_CASE(a_file_holds_what_is_written) {
    const std::string path = "/tmp/rung-trace-" + std::to_string(::getpid());
    rung::trace::start();
    for (int i = 0; i < 5'000; ++i) {
        const rung::trace::span span("one of many");
    }
    rung::trace::save(path);
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    std::remove(path.c_str());
    BOOST_TEST(out.str() == written());
}

}  // namespace
