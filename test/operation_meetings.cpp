// Each call of the producer at the same instant as each of the client. Made for the sanitizers.

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/rung.hpp>
#include <string>

#include "at_once.hpp"
#include "outcomes.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace test;

namespace {

/// An operation for one meeting, and who was promised to be told of its end.
struct meeting {
    void begin() {
        std::tie(source, op) = rung::make_operation<std::string, std::string>();
        signal = std::make_unique<asio::cancellation_signal>();
        promised = 0;
        told = 0;
        may_be_told = 0;
    }
    /// Brings the operation to its end, if it is not there.
    void finish() {
        if (source.valid()) {
            source.set_done("late");
        }
        source = {};
        ctx.restart();
        ctx.run();
    }
    bool kept() const { return told >= promised && told <= promised + may_be_told; }

    /// A handler of the end.
    auto tells() {
        ++promised;
        return [this](error_code, const std::string&) { ++told; };
    }
    /// A handler of the next change.
    auto tells_change() {
        ++promised;
        return [this](state) { ++told; };
    }
    /// A function that is told of every change; the end is what counts.
    auto follows() {
        ++promised;
        return [this](state s, const std::string&) { told += is_final(s) ? 1 : 0; };
    }

    rung::io_context ctx{1};
    rung::operation_source<std::string, std::string> source;
    rung::operation<std::string, std::string> op;
    std::unique_ptr<asio::cancellation_signal> signal;  // the client's
    int promised = 0;                                   // the client's
    int may_be_told = 0;                                // the client's
    std::atomic<int> told{0};
};

struct named_call {
    const char* name;
    void (*make)(meeting&);
};

constexpr named_call producers[] = {
    {"set_running", [](meeting& m) { m.source.set_running(); }},
    {"set_progress", [](meeting& m) { m.source.set_progress("some progress, not a short one"); }},
    {"set_done", [](meeting& m) { m.source.set_done("value"); }},
    {"set_failed", [](meeting& m) { m.source.set_failed(refused); }},
    {"set_failed by an exception",
     [](meeting& m) { m.source.set_failed(std::make_exception_ptr(1)); }},
    {"set_cancelled", [](meeting& m) { m.source.set_cancelled(); }},
    {"its end", [](meeting& m) { m.source = {}; }},
    {"on_cancel, then set_done",
     [](meeting& m) {
         const auto guarded = std::make_unique<int>(0);
         m.source.on_cancel([&] { ++*guarded; });
         m.source.set_done("value");
     }},
    {"on_cancel twice",
     [](meeting& m) {
         int first = 0;
         const auto second = std::make_unique<int>(0);
         m.source.on_cancel([&] { ++first; });
         m.source.on_cancel([&] { ++*second; });
         m.source.set_done("value");
         static_cast<void>(first + *second);
     }},
    {"a cancel_scope",
     [](meeting& m) {
         const auto guarded = std::make_unique<int>(0);
         const rung::cancel_scope scope(m.source, [&] { ++*guarded; });
     }},
    {"on_cancel on an executor, then set_done",
     [](meeting& m) {
         m.source.on_cancel(asio::bind_executor(m.ctx, [] {}));
         m.source.set_done("value");
     }},
};

constexpr named_call clients[] = {
    {"looks",
     [](meeting& m) {
         const bool ended = m.op.ready();
         const bool valued = m.op.value() != nullptr;
         const auto text = m.op.progress() + to_string(m.op.state()) + m.op.error().message();
         m.promised += ended && valued && text.empty() ? 1 : 0;
     }},
    {"wait_for", [](meeting& m) { m.op.wait_for(100us); }},
    {"wait_for, spinning", [](meeting& m) { m.op.wait_for(100us, 100us); }},
    {"async_wait", [](meeting& m) { m.op.async_wait(m.tells()); }},
    {"async_wait on an executor",
     [](meeting& m) { m.op.async_wait(asio::bind_executor(m.ctx, m.tells())); }},
    {"async_next", [](meeting& m) { m.op.async_next(m.tells_change()); }},
    {"async_next on an executor",
     [](meeting& m) { m.op.async_next(asio::bind_executor(m.ctx, m.tells_change())); }},
    {"watch", [](meeting& m) { m.op.watch(m.follows()); }},
    {"watch on an executor, the latest",
     [](meeting& m) { m.op.watch(asio::bind_executor(m.ctx, m.follows())); }},
    {"watch on an executor, each",
     [](meeting& m) {
         m.op.watch(asio::bind_executor(m.ctx, m.follows()), rung::delivery::each);
     }},
    {"async_wait, and its cancellation",
     [](meeting& m) {
         m.op.async_wait(asio::bind_cancellation_slot(m.signal->slot(), m.tells()));
         m.signal->emit(asio::cancellation_type::terminal);
     }},
    {"watch, and its cancellation",
     [](meeting& m) {
         m.op.watch(asio::bind_cancellation_slot(m.signal->slot(), m.follows()));
         m.signal->emit(asio::cancellation_type::terminal);
         --m.promised;
         ++m.may_be_told;
     }},
    {"watch, and the end of its signal",
     [](meeting& m) {
         m.op.watch(asio::bind_cancellation_slot(m.signal->slot(), m.follows()));
         m.signal.reset();
     }},
    {"cancel", [](meeting& m) { m.op.cancel(); }},
    {"its end", [](meeting& m) { m.op = {}; }},
};

BOOST_AUTO_TEST_CASE(each_call_of_the_producer_may_meet_each_of_the_client) {
    constexpr int rounds = 60;
    for (const named_call& producer : producers) {
        for (const named_call& client : clients) {
            meeting m;
            int broken = 0;
            at_once(
                rounds, [&] { m.begin(); },
                [&] {
                    m.finish();
                    broken += m.kept() ? 0 : 1;
                },
                [&] { producer.make(m); }, [&] { client.make(m); });
            BOOST_TEST(broken == 0, "the producer's " << producer.name << " and the client's "
                                                      << client.name << ": " << broken);
        }
    }
}

BOOST_AUTO_TEST_CASE(several_clients_may_meet_the_end) {
    meeting m;
    std::atomic<int> broken{0};
    at_once(
        500, [&] { m.begin(); },
        [&] {
            m.finish();
            broken += m.told == 2 ? 0 : 1;
        },
        [&] { m.source.set_done("value"); },
        [&] { m.op.async_wait([&](error_code, const std::string&) { ++m.told; }); },
        [&] { m.op.async_next([&](state) { ++m.told; }); }, [&] { m.op.cancel(); },
        [&] { broken += m.op.get() == "value" ? 0 : 1; });
    BOOST_TEST(broken == 0);
}

}  // namespace
