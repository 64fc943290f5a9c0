// A limit of lockable memory: rings are as small as it asks for, and as many as it allows.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <vector>

namespace asio = boost::asio;

namespace {

constexpr std::size_t kilobyte = 1024;

/// What a child has to tell.
struct report {
    int refused = 0;                  // an errno: the kernel lets no child have less privileges
    std::size_t contexts = 0;         // that could be made
    std::uint64_t first_entries = 0;  // of the first,
    std::uint64_t last_entries = 0;   // and the last
    std::size_t received = 0;         // by the first
    char why[256] = {};               // there are no more
};

/// Sends a byte from one socket to another.
std::size_t use(rung::io_context& ctx) {
    rung::native<asio::local::stream_protocol::socket> a(ctx);
    rung::native<asio::local::stream_protocol::socket> b(ctx);
    asio::local::connect_pair(a, b);
    char in = 0;
    std::size_t received = 0;
    b.async_receive(asio::buffer(&in, 1), [&](const auto&, std::size_t n) { received = n; });
    asio::post(ctx, [&] { a.send(asio::buffer("x", 1)); });
    ctx.run();
    return received;
}

/// In a child of a user of its own, for whom the limit holds: makes contexts until that fails.
report limited_to(std::size_t bytes, std::size_t most, bool one_at_a_time = false) {
    int ends[2] = {};
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        report r;
        const rlimit limit{bytes, bytes};
        const auto user = static_cast<uid_t>(60'000 + ::getpid() % 5'000);
        if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || ::setgid(user) != 0 ||
            ::setuid(user) != 0) {
            r.refused = errno;
        } else {
            std::vector<std::unique_ptr<rung::io_context>> all;
            try {
                for (; r.contexts < most; ++r.contexts) {
                    all.resize(one_at_a_time ? 0 : r.contexts);
                    all.push_back(std::make_unique<rung::io_context>());
                    r.last_entries = all.back()->statistics().ring_entries;
                }
            } catch (const std::exception& e) {
                std::strncpy(r.why, e.what(), sizeof r.why - 1);
            }
            if (!all.empty()) {
                r.first_entries = all.front()->statistics().ring_entries;
                r.received = use(*all.back());
            }
        }
        static_cast<void>(::write(ends[1], &r, sizeof r));
        ::_exit(0);
    }
    ::close(ends[1]);
    report r;
    BOOST_TEST(::read(ends[0], &r, sizeof r) == static_cast<ssize_t>(sizeof r));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return r;
}

/// Whether this can be tested here.
bool limit_counts() {
    const report r = limited_to(0, 1);
    if (r.refused != 0) {
        BOOST_TEST_MESSAGE("SKIP: this process cannot become another user");
        return false;
    }
    if (r.contexts != 0) {
        BOOST_TEST_MESSAGE("SKIP: this kernel does not count rings towards RLIMIT_MEMLOCK");
        return false;
    }
    return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_small_limit_gives_smaller_rings_and_not_none) {
    if (!limit_counts()) {
        return;
    }
    for (const std::size_t limit : {64, 128, 256, 1024}) {
        BOOST_TEST_CONTEXT(limit << " KiB") {
            const report r = limited_to(limit * kilobyte, 600);
            BOOST_TEST_MESSAGE(limit << " KiB: " << r.contexts << " contexts, of "
                                     << r.first_entries << " to " << r.last_entries << " entries");
            BOOST_TEST(r.contexts >= (limit < 128 ? 8U : 16U));
            BOOST_TEST(r.first_entries == (limit < 256 ? 32U : 1024U));
            BOOST_TEST(r.last_entries == 32U);
            BOOST_TEST(r.received == 1U);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_context_made_after_another_has_ended_has_its_entries) {
    if (!limit_counts()) {
        return;
    }
    // The kernel takes its time to give the memory back.
    const report r = limited_to(256 * kilobyte, 5, true);
    BOOST_TEST(r.contexts == 5U);
    BOOST_TEST(r.last_entries == 1024U);
}

BOOST_AUTO_TEST_CASE(where_there_is_none_at_all_the_error_says_what_to_raise) {
    if (!limit_counts()) {
        return;
    }
    const report r = limited_to(0, 1);
    BOOST_TEST(std::strstr(r.why, "RLIMIT_MEMLOCK") != nullptr);
}

BOOST_AUTO_TEST_CASE(without_a_limit_a_ring_has_the_entries_that_were_asked_for) {
    rung::io_context_options options;
    options.ring_entries = 64;
    BOOST_TEST(rung::io_context(options).statistics().ring_entries == 64U);
}
