#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

#include "rivals.hpp"

/// What a pending operation costs, and descriptors that make operations wait.
namespace test {

/// The threads of the process, those of the kernel's that do its work among them.
inline std::size_t tasks() {
    std::size_t n = 0;
    DIR* const d = ::opendir("/proc/self/task");
    while (const dirent* const e = ::readdir(d)) {
        n += e->d_name[0] != '.' ? 1 : 0;
    }
    ::closedir(d);
    return n;
}

/// How many there are if all is at rest: this one, and the one that ThreadSanitizer starts for itself
/// together with the program's first.
#if defined(RUNG_TSAN)
inline const std::size_t tasks_at_rest = (std::thread([] {}).join(), 2);
#else
constexpr std::size_t tasks_at_rest = 1;
#endif

inline std::chrono::microseconds cpu_time() {
    rusage u{};
    ::getrusage(RUSAGE_SELF, &u);
    return std::chrono::seconds(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           std::chrono::microseconds(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/// How often the cost of rest is measured; the best counts. Instrumented, the least hiccup of a
/// machine under load is too much.
#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
constexpr int attempts_to_rest = 3;
#else
constexpr int attempts_to_rest = 1;
#endif

/// Runs the loop for a while, in which nothing may end, and which may cost next to nothing.
template <class Loop>
void check_rest(Loop& loop, const outcome& pending) {
    loop.poll();
    loop.context().restart();
    loop.context().run_for(std::chrono::milliseconds(20));  // what it costs to begin is no matter
    constexpr std::chrono::milliseconds little(15);
    std::chrono::microseconds spent = little;
    for (int i = 0; i < attempts_to_rest && spent >= little; ++i) {
        const auto before = cpu_time();
        loop.context().restart();
        loop.context().run_for(std::chrono::milliseconds(60));
        spent = cpu_time() - before;
    }
    BOOST_TEST(pending == outcome{});
    BOOST_TEST(spent.count() < std::chrono::microseconds(little).count());
    BOOST_TEST(tasks() == tasks_at_rest);
}

/// Runs until `done()`, for a time that is long enough.
template <class Loop, class Condition>
void run_until(Loop& loop, Condition done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < end) {
        loop.context().restart();
        loop.context().run_one_for(std::chrono::milliseconds(10));
    }
    BOOST_TEST(done());
}

inline void set_blocking(int fd, bool blocks) {
    const int mode = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, blocks ? mode & ~O_NONBLOCK : mode | O_NONBLOCK);
}

inline bool is_tcp(int fd) {
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
           protocol == IPPROTO_TCP;
}

/// Fills what `fd` writes into, until it takes not a byte more; gives their number.
inline std::size_t fill(int fd) {
    const std::string block(1 << 16, 'x');
    const int mode = ::fcntl(fd, F_GETFL);
    set_blocking(fd, false);
    std::size_t n = 0;
    for (std::size_t before = 1; n != before;) {
        before = n;
        for (const std::size_t size : {block.size(), std::size_t{1}}) {
            ssize_t written = 0;
            while ((written = ::write(fd, block.data(), size)) > 0) {
                n += static_cast<std::size_t>(written);
            }
        }
        if (n != before && is_tcp(fd)) {
            ::usleep(50'000);  // the other side may acknowledge, and so make room, 40 ms later
        }
    }
    ::fcntl(fd, F_SETFL, mode);
    return n;
}

/// Takes `n` bytes from `fd`, or what there is until its end.
inline std::size_t drain(int fd, std::size_t n) {
    std::string block(1 << 16, '\0');
    set_blocking(fd, false);
    std::size_t taken = 0;
    while (taken < n) {
        const ssize_t got = ::read(fd, block.data(), std::min(block.size(), n - taken));
        if (got <= 0) {
            break;
        }
        taken += static_cast<std::size_t>(got);
    }
    return taken;
}

}  // namespace test
