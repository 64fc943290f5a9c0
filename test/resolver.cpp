// Names and services: answered, refused, cancelled, and several at a time.

#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/host_name.hpp>
#include <boost/asio/ip/icmp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <condition_variable>
#include <mutex>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

/// Name servers that the test has in its hands: a question for `…slow.test` waits until let go.
struct slow_server {
    std::mutex mutex;
    std::condition_variable changed;
    int waiting = 0;
    bool answers = false;

    void ask() {
        std::unique_lock lock(mutex);
        ++waiting;
        changed.notify_all();
        changed.wait(lock, [this] { return answers; });
        --waiting;
        changed.notify_all();
    }
    void await(int questions) {
        std::unique_lock lock(mutex);
        BOOST_REQUIRE(changed.wait_for(lock, std::chrono::seconds(20),
                                       [&] { return waiting == questions; }));
    }
    void answer(bool on) {
        const std::lock_guard lock(mutex);
        answers = on;
        changed.notify_all();
    }
};
slow_server server;

/// Lets questions through while it lives no more.
struct held_server {
    held_server() { server.answer(false); }
    ~held_server() { server.answer(true); }
};

}  // namespace

/// Stands before the C library's.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** result) {
    using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    if (host != nullptr && std::string_view(host).ends_with("slow.test")) {
        server.ask();
        host = "127.0.0.9";
    } else if (host != nullptr && std::string_view(host) == "unknown.test") {
        return EAI_NONAME;
    }
    return real(host, service, hints, result);
}

namespace {

template <class Loop, class Protocol = tcp>
using resolver = asio::ip::basic_resolver<Protocol, typename Loop::executor_type>;

template <class Results>
auto answer_into(outcome& o, Results& results) {
    return [&](error_code ec, Results r) {
        into(o)(ec, r.size());
        results = std::move(r);
    };
}

/// For lookups whose handlers may run at once.
auto number_into(outcome& o) {
    return [&o](error_code ec, const auto& found) { into(o)(ec, found.size()); };
}

RUNG_RIVAL_CASE(an_address_as_text_is_an_answer) {
    resolver<Loop> r(loop.context());
    tcp::resolver::results_type results;
    outcome o;
    r.async_resolve("127.0.0.1", "80", answer_into(o, results));
    BOOST_TEST(o == outcome{});
    loop.run();
    BOOST_TEST(o == done(1));
    BOOST_TEST(results.begin()->endpoint() ==
               tcp::endpoint(asio::ip::address_v4::loopback(), 80));
    BOOST_TEST(results.begin()->host_name() == "127.0.0.1");
    BOOST_TEST(results.begin()->service_name() == "80");
    outcome six;
    r.async_resolve("::1", "", answer_into(six, results));
    loop.run();
    BOOST_TEST(six == done(1));
    BOOST_TEST(results.begin()->endpoint().address().is_v6());
}

RUNG_RIVAL_CASE(names_and_services_come_from_the_system_s_files) {
    resolver<Loop> r(loop.context());
    tcp::resolver::results_type results;
    outcome o;
    r.async_resolve(tcp::v4(), "localhost", "http", answer_into(o, results));
    loop.run();
    BOOST_TEST(o.calls == 1);
    if (o.ec) {  // a system without /etc/services
        BOOST_TEST(o.ec == error::service_not_found);
        return;
    }
    BOOST_TEST(results.begin()->endpoint() ==
               tcp::endpoint(asio::ip::address_v4::loopback(), 80));
    BOOST_TEST(results.begin()->host_name() == "localhost");
}

RUNG_RIVAL_CASE(every_protocol_has_its_resolver) {
    resolver<Loop, asio::ip::udp> udp_resolver(loop.context());
    resolver<Loop, asio::ip::icmp> icmp_resolver(loop.context());
    outcome o[2];
    asio::ip::udp::resolver::results_type udp_results;
    asio::ip::icmp::resolver::results_type icmp_results;
    udp_resolver.async_resolve(asio::ip::udp::v4(), "localhost", "7", answer_into(o[0], udp_results));
    icmp_resolver.async_resolve(asio::ip::icmp::v4(), "localhost", "", answer_into(o[1], icmp_results));
    loop.run();
    BOOST_TEST(o[0] == done(1));
    BOOST_TEST(o[1] == done(1));
    BOOST_TEST(udp_results.begin()->endpoint().port() == 7);
}

RUNG_RIVAL_CASE(an_endpoint_has_names) {
    resolver<Loop> r(loop.context());
    tcp::resolver::results_type results;
    const tcp::endpoint here(asio::ip::address_v4::loopback(), 80);
    outcome o;
    r.async_resolve(here, answer_into(o, results));
    loop.run();
    BOOST_TEST(o == done(1));
    BOOST_TEST(results.begin()->endpoint() == here);
    BOOST_TEST(!results.begin()->host_name().empty());
    BOOST_TEST(r.resolve(here).begin()->host_name() == results.begin()->host_name());
}

RUNG_RIVAL_CASE(what_nobody_knows_is_an_error) {
    resolver<Loop> r(loop.context());
    outcome o[3];
    r.async_resolve("unknown.test", "80", number_into(o[0]));
    r.async_resolve("localhost", "there-is-no-such-service", number_into(o[1]));
    r.async_resolve("not-a-number", "80", tcp::resolver::numeric_host, number_into(o[2]));
    loop.run();
    BOOST_TEST(o[0] == failed(error::host_not_found));
    BOOST_TEST(o[1] == failed(error::service_not_found));
    BOOST_TEST(o[2] == failed(error::host_not_found));
    error_code ec;
    BOOST_TEST(r.resolve("unknown.test", "80", ec).empty());
    BOOST_TEST(ec == error::host_not_found);
    BOOST_TEST(r.resolve("127.0.0.1", "80").size() == 1U);
}

RUNG_RIVAL_CASE(lookups_that_have_not_begun_are_cancelled) {
    const auto lookups = loop.ours ? 8 : 2;
    std::vector<outcome> o(static_cast<std::size_t>(lookups));
    std::optional<resolver<Loop>> r(loop.context());
    std::optional<held_server> held(std::in_place);
    for (outcome& each : o) {
        r->async_resolve("slow.test", "80", number_into(each));
    }
    server.await(loop.ours ? 4 : 1);
    r->cancel();
    r.reset();
    held.reset();
    loop.run();
    BOOST_TEST(o.back() == failed(error::operation_aborted));
    server.await(0);
}

BOOST_AUTO_TEST_CASE(a_lookup_under_way_need_not_be_waited_for) {
    on_ours([](auto& loop) {
        using Loop = std::decay_t<decltype(loop)>;
        const held_server held;
        resolver<Loop> r(loop.context());
            asio::cancellation_signal signal;
        outcome by_slot;
        outcome by_cancel;
        outcome goes_on;
        r.async_resolve("slow.test", "80",
                        asio::bind_cancellation_slot(signal.slot(), number_into(by_slot)));
        r.async_resolve("slow.test", "80", number_into(by_cancel));
        server.await(2);
        signal.emit(asio::cancellation_type::total);
        loop.poll();
        BOOST_TEST(by_slot == failed(error::operation_aborted));
        BOOST_TEST(by_cancel == outcome{});
        r.cancel();
        r.async_resolve("127.0.0.1", "80", number_into(goes_on));
        loop.run();
        BOOST_TEST(by_cancel == failed(error::operation_aborted));
        BOOST_TEST(goes_on == done(1));
        server.answer(true);
        server.await(0);
    });
}

BOOST_AUTO_TEST_CASE(as_many_lookups_go_on_at_once_as_there_may_be_threads) {
    rung::io_context_options options;
    options.resolver_threads = 3;
    rung::io_context context(options);
    using resolver_type = asio::ip::basic_resolver<tcp, rung::executor>;
    resolver_type r(context);
    outcome o[7];
    tcp::resolver::results_type results;
    {
        const held_server held;
        for (outcome& each : o) {
            r.async_resolve("slow.test", "80", answer_into(each, results));
        }
        server.await(3);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        const std::lock_guard lock(server.mutex);
        BOOST_TEST(server.waiting == 3);
    }
    context.run();
    for (const outcome& each : o) {
        BOOST_TEST(each == done(1));
    }
    BOOST_TEST(results.begin()->host_name() == "slow.test");

    options.resolver_threads = 0;
    BOOST_CHECK_THROW(rung::io_context{options}, boost::system::system_error);
}

BOOST_AUTO_TEST_CASE(a_resolver_moves_with_its_lookups) {
    on_ours([](auto& loop) {
        using Loop = std::decay_t<decltype(loop)>;
        outcome o;
        tcp::resolver::results_type results;
        std::optional<held_server> held(std::in_place);
        resolver<Loop> a(loop.context());
        a.async_resolve("slow.test", "80", answer_into(o, results));
        resolver<Loop> b(std::move(a));
        resolver<Loop> c(loop.context());
        c = std::move(b);
        a.cancel();
        b.cancel();
        held.reset();
        loop.run();
        BOOST_TEST(o == done(1));
        BOOST_TEST(results.begin()->endpoint().address().to_string() == "127.0.0.9");
    });
}

BOOST_AUTO_TEST_CASE(a_context_may_be_destroyed_with_lookups_under_way_and_waiting) {
    on_ours([](auto& loop) {
        using Loop = std::decay_t<decltype(loop)>;
        auto r = std::make_shared<resolver<Loop>>(loop.context());
        std::optional<held_server> held(std::in_place);
        for (int i = 0; i < 8; ++i) {
            r->async_resolve("slow.test", "80", [r](error_code, auto) { BOOST_TEST(false); });
        }
        server.await(4);
        const std::weak_ptr<void> watch = r;
        r.reset();
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            held.reset();
        });
        loop.destroy();
        later.join();
        BOOST_TEST(watch.expired());
        server.await(0);
    });
}

BOOST_AUTO_TEST_CASE(a_child_process_need_not_wait_for_its_parent_s_lookups) {
    auto context = std::make_unique<rung::io_context>();
    std::optional<asio::ip::basic_resolver<tcp, rung::executor>> r(*context);
    outcome o;
    std::optional<held_server> held(std::in_place);
    r->async_resolve("slow.test", "80", number_into(o));
    server.await(1);
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(10);
        r.reset();
        context.reset();
        ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
    held.reset();
    context->run();
    BOOST_TEST(o == done(1));
}

BOOST_AUTO_TEST_CASE(an_address_as_text_needs_no_thread) {
    const auto threads = [] {
        std::size_t n = 0;
        DIR* const dir = ::opendir("/proc/self/task");
        while (::readdir(dir) != nullptr) {
            ++n;
        }
        ::closedir(dir);
        return n;
    };
    rung::io_context context;
    asio::ip::basic_resolver<tcp, rung::executor> r(context);
    const std::size_t before = threads();
    outcome o;
    tcp::resolver::results_type results;
    r.async_resolve("127.0.0.1", "80", answer_into(o, results));
    context.run();
    BOOST_TEST(o == done(1));
    BOOST_TEST(threads() == before);
    outcome looked_up;
    r.async_resolve("localhost", "80", answer_into(looked_up, results));
    context.restart();
    context.run();
    BOOST_TEST(!looked_up.ec);
    BOOST_TEST(threads() == before + 1);
}

}  // namespace
