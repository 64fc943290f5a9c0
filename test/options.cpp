/// What a context is refused for, and whether it says why.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <rung/rung.hpp>
#include <string>
#include <utility>
#include <vector>

#include "context_fixture.hpp"

namespace asio = boost::asio;
using rung::io_context_options;

namespace {

/// The error with which a context refuses these options; empty if it does not.
std::optional<boost::system::system_error> refusal(const io_context_options& options) {
    try {
        rung::io_context context(options);
    } catch (const boost::system::system_error& e) {
        return e;
    }
    return std::nullopt;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Whether options are refused as unusable, with this name in the message.
bool refused_by_name(const io_context_options& options, const std::string& name) {
    const auto e = refusal(options);
    return e && e->code() == rung::error::bad_option && contains(e->what(), name);
}

/// Makes and uses a context.
bool usable(const io_context_options& options) {
    rung::io_context context(options);
    bool ran = false;
    asio::post(context, [&] { ran = true; });
    context.run();
    return ran;
}

/// What `f` returns in a child process; none if the child ends without an answer.
std::optional<std::string> in_child(const std::function<std::string()>& f) {
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::pipe(ends.data()) == 0);
    std::fflush(nullptr);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child != -1);
    if (child == 0) {
        ::close(ends[0]);
        ::alarm(30);
        const std::string answer = f();
        const bool written =
            ::write(ends[1], answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
        ::_exit(written ? 0 : 1);
    }
    ::close(ends[1]);
    std::string answer;
    std::array<char, 512> buffer{};
    for (ssize_t n = 1; n > 0;) {
        n = ::read(ends[0], buffer.data(), buffer.size());
        answer.append(buffer.data(), static_cast<std::size_t>(n > 0 ? n : 0));
    }
    ::close(ends[0]);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    return status == 0 ? std::optional(answer) : std::nullopt;
}

/// Makes every later call of `io_uring_setup` in this process fail with `error`.
bool forbid_rings(int error) {
    const auto action = static_cast<__u32>(SECCOMP_RET_ERRNO | error);
    std::array<sock_filter, 4> filter{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog program{.len = filter.size(), .filter = filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// The message and, before it, the code's number, of a context made where a ring is refused.
std::string refusal_text() {
    const auto e = refusal({});
    return e ? std::to_string(e->code().value()) + " " + e->what() : "not refused";
}

/// Limits the process's descriptors to those that are open now and `more`; undone at the end.
class descriptor_limit {
public:
    explicit descriptor_limit(rlim_t more) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest_free = ::dup(STDERR_FILENO);
        ::close(lowest_free);
        set({.rlim_cur = static_cast<rlim_t>(lowest_free) + more, .rlim_max = before_.rlim_max});
    }
    ~descriptor_limit() { set(before_); }
    descriptor_limit(const descriptor_limit&) = delete;
    descriptor_limit& operator=(const descriptor_limit&) = delete;

private:
    static void set(const rlimit& l) { ::setrlimit(RLIMIT_NOFILE, &l); }
    rlimit before_{};
};

}  // namespace

BOOST_AUTO_TEST_CASE(ring_entries_must_be_a_power_of_two_in_range) {
    io_context_options options;
    for (const unsigned n : {0U, 3U, 100U, 1'023U, 32'767U, 32'769U, 65'536U, 1U << 31,
                             std::numeric_limits<unsigned>::max()}) {
        options.ring_entries = n;
        BOOST_TEST(refused_by_name(options, "ring_entries"), n << " entries");
    }
    for (const unsigned n : {1U, 2U, 64U, 4'096U, 32'768U}) {
        options.ring_entries = n;
        BOOST_TEST(usable(options), n << " entries");
    }
}

BOOST_AUTO_TEST_CASE(the_starvation_limit_must_leave_a_handler_for_each_level) {
    io_context_options options;
    for (const unsigned n : {0U, 1U, 2U}) {
        options.starvation_limit = n;
        BOOST_TEST(refused_by_name(options, "starvation_limit"), "limit " << n);
    }
    for (const unsigned n : {3U, 64U, std::numeric_limits<unsigned>::max()}) {
        options.starvation_limit = n;
        BOOST_TEST(usable(options), "limit " << n);
    }
}

BOOST_AUTO_TEST_CASE(spinning_takes_from_nothing_to_a_second) {
    using namespace std::chrono_literals;
    io_context_options options;
    for (const std::chrono::nanoseconds d :
         {std::chrono::nanoseconds(-1), std::chrono::nanoseconds(1s + 1ns),
          std::chrono::nanoseconds::max(), std::chrono::nanoseconds::min()}) {
        options.spin_before_sleep = d;
        BOOST_TEST(refused_by_name(options, "spin_before_sleep"), d.count() << " ns");
    }
    for (const std::chrono::nanoseconds d :
         {std::chrono::nanoseconds(0), std::chrono::nanoseconds(50us),
          std::chrono::nanoseconds(1s)}) {
        options.spin_before_sleep = d;
        BOOST_TEST(usable(options), d.count() << " ns");
    }
}

BOOST_AUTO_TEST_CASE(a_backend_that_is_not_there_is_refused_by_name) {
    io_context_options options;
    options.backend = rung::backend::epoll;
    const auto e = refusal(options);
    BOOST_REQUIRE(e.has_value());
    BOOST_TEST((e->code() == rung::error::backend_unavailable));
    BOOST_TEST(contains(e->what(), "backend"));
    BOOST_TEST(contains(e->what(), "epoll"));
    options.backend = rung::backend::io_uring;
    BOOST_TEST(usable(options));
    BOOST_TEST((rung::io_context(options).backend() == rung::backend::io_uring));
}

BOOST_AUTO_TEST_CASE(any_concurrency_hint_is_usable_as_asios_are) {
    io_context_options options;
    for (const int hint :
         {-1, 0, 1, 2, 1'000, BOOST_ASIO_CONCURRENCY_HINT_SAFE, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE,
          BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO}) {
        options.concurrency_hint = hint;
        BOOST_TEST(usable(options), "hint " << hint);
        rung::io_context by_hint(hint);
        BOOST_TEST(by_hint.poll() == 0U);
    }
}

BOOST_AUTO_TEST_CASE(a_refused_context_leaves_no_descriptor_behind) {
    const std::size_t before = test::open_descriptors();
    io_context_options options;
    options.ring_entries = 3;
    BOOST_TEST(refusal(options).has_value());
    options = {};
    options.starvation_limit = 0;
    BOOST_TEST(refusal(options).has_value());
    BOOST_TEST(test::open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(without_descriptors_the_message_says_which_limit_to_raise) {
    const std::size_t before = test::open_descriptors();
    // None for the ring; and one for the ring, none for waking the loop.
    for (const rlim_t left : {rlim_t{0}, rlim_t{1}}) {
        std::optional<boost::system::system_error> e;
        {
            const descriptor_limit limit(left);
            e = refusal({});
        }
        BOOST_REQUIRE(e.has_value());
        BOOST_TEST(e->code().value() == EMFILE);
        BOOST_TEST(contains(e->what(), "RLIMIT_NOFILE"), e->what());
        BOOST_TEST(contains(e->what(), "ulimit -n"), e->what());
    }
    BOOST_TEST(test::open_descriptors() == before);
    BOOST_TEST(usable({}));
}

BOOST_AUTO_TEST_CASE(a_refused_ring_is_explained_by_cause_and_cure) {
    struct expectation {
        int error;
        std::vector<std::string> words;
    };
    const expectation expected[] = {
        {EPERM, {"seccomp", "io_uring_setup"}},
        {EACCES, {"seccomp", "io_uring_setup"}},
        {ENOSYS, {"no io_uring", "5.19"}},
        {EINVAL, {"too old", "5.19"}},
        {ENOMEM, {"memory", "RLIMIT_MEMLOCK", "ring_entries"}},
        {EMFILE, {"RLIMIT_NOFILE"}},
        {ENFILE, {"fs.file-max"}},
        {EIO, {"refused"}},
    };
    for (const expectation& e : expected) {
        const auto text = in_child(
            [&e] { return forbid_rings(e.error) ? refusal_text() : std::string("no filter"); });
        BOOST_REQUIRE(text.has_value());
        if (*text == "no filter") {
            BOOST_TEST_MESSAGE("this kernel has no seccomp filters");
            return;
        }
        BOOST_TEST(text->starts_with(std::to_string(e.error) + " rung::io_context: "), *text);
        for (const std::string& word : e.words) {
            BOOST_TEST(contains(*text, word), *text << " lacks " << word);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_ring_disabled_by_the_administrator_is_told_from_a_blocked_one) {
    // A file of ours in the place of the kernel's setting, in a mount namespace of the child's own.
    const auto text = in_child([]() -> std::string {
        std::array<char, 32> name{"/tmp/rung_options_XXXXXX"};
        const int file = ::mkstemp(name.data());
        const bool shadowed =
            file != -1 && ::write(file, "2\n", 2) == 2 && ::unshare(CLONE_NEWNS) == 0 &&
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            ::mount(name.data(), "/proc/sys/kernel/io_uring_disabled", nullptr, MS_BIND, nullptr) ==
                0 &&
            forbid_rings(EPERM);
        std::string answer = shadowed ? refusal_text() : "not possible here";
        ::unlink(name.data());
        return answer;
    });
    BOOST_REQUIRE(text.has_value());
    if (*text == "not possible here") {
        BOOST_TEST_MESSAGE("needs the right to mount");
        return;
    }
    BOOST_TEST(contains(*text, "kernel.io_uring_disabled = 2"), *text);
    BOOST_TEST(contains(*text, "set it to 0"), *text);
    BOOST_TEST(!contains(*text, "seccomp"), *text);
}
