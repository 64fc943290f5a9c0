// Where fibers' stacks come from, how many there may be, and when their memory goes back.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <rung/rung.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::system_error;

namespace {

struct fixture : test::time_limit {};

constexpr std::size_t kib = 1024;

/// Counts what is mapped.
class counting_memory : public rung::stack_memory {
public:
    ~counting_memory() override { BOOST_TEST(mapped == 0U); }
    void* map(std::size_t bytes) override {
        mapped += bytes;
        return stack_memory::map(bytes);
    }
    void unmap(void* at, std::size_t bytes) noexcept override {
        mapped -= bytes;
        stack_memory::unmap(at, bytes);
    }
    std::size_t mapped = 0;
};

char* top_of(const rung::stack& s) { return static_cast<char*>(s.bottom) + s.size; }

/// Uses some stack, so that the compiler cannot leave it out.
[[gnu::noinline]] std::size_t dig(std::size_t bytes) {
    volatile char frame[1024];
    frame[0] = 1;
    if (bytes <= sizeof frame) {
        return frame[0];
    }
    return dig(bytes - sizeof frame) + frame[0];
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(stack_pool, fixture)

BOOST_AUTO_TEST_CASE(stacks_have_the_size_that_was_asked_for) {
    rung::stack_pool pool({.stack_size = 20 * kib});
    std::vector<rung::stack> stacks;
    for (const std::size_t size : {std::size_t{0}, 1 * kib, 16 * kib, 17 * kib, 64 * kib,
                                   1024 * kib, 65'536 * kib}) {
        const rung::stack s = pool.allocate(size);
        BOOST_TEST(s.size >= std::max(size, size == 0 ? 20 * kib : size));
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(s.bottom) % 4096 == 0U);
        static_cast<char*>(s.bottom)[0] = 1;
        top_of(s)[-1] = 1;
        stacks.push_back(s);
    }
    BOOST_TEST(stacks[0].size == 32 * kib);
    BOOST_CHECK_THROW(pool.allocate(rung::stack_pool::largest + 1), system_error);
    BOOST_TEST(pool.statistics().in_use == stacks.size());
    for (const rung::stack& s : stacks) {
        pool.deallocate(s);
    }
    BOOST_TEST(pool.statistics().in_use == 0U);
}

BOOST_AUTO_TEST_CASE(stacks_are_distinct_and_used_again) {
    rung::stack_pool pool;
    std::set<void*> first;
    std::vector<rung::stack> stacks;
    for (int i = 0; i < 100; ++i) {
        stacks.push_back(pool.allocate());
        BOOST_TEST(first.insert(stacks.back().bottom).second);
    }
    for (const rung::stack& s : stacks) {
        pool.deallocate(s);
    }
    for (int i = 0; i < 100; ++i) {
        BOOST_TEST(first.contains(pool.allocate().bottom));
    }
    BOOST_TEST(pool.statistics().most_in_use == 100U);
    for (const rung::stack& s : stacks) {
        pool.deallocate(s);
    }
}

BOOST_AUTO_TEST_CASE(the_limit_is_an_error_that_says_so) {
    rung::stack_pool pool({.limit = 2});
    const rung::stack a = pool.allocate();
    const rung::stack b = pool.allocate(64 * kib);
    BOOST_CHECK_EXCEPTION(pool.allocate(), system_error, [](const system_error& e) {
        return e.code() == rung::error::stack_limit &&
               std::strstr(e.what(), "stack_pool_options::limit") != nullptr;
    });
    BOOST_TEST(pool.statistics().refused == 1U);
    pool.deallocate(a);
    const rung::stack c = pool.allocate();
    pool.deallocate(b);
    pool.deallocate(c);
}

BOOST_AUTO_TEST_CASE(the_limit_holds_for_idle_stacks_too) {
    rung::stack_pool pool({.limit = 10});
    for (const std::size_t size : {64 * kib, 128 * kib, 64 * kib, 256 * kib}) {
        std::vector<rung::stack> stacks;
        for (int i = 0; i < 10; ++i) {
            stacks.push_back(pool.allocate(size));
        }
        for (const std::size_t other : {64 * kib, 128 * kib, 512 * kib}) {
            BOOST_CHECK_THROW(pool.allocate(other), system_error);
        }
        BOOST_TEST(pool.statistics().in_use == 10U);
        for (const rung::stack& s : stacks) {
            pool.deallocate(s);
        }
    }
}

BOOST_AUTO_TEST_CASE(stacks_that_threads_keep_do_not_count) {
    rung::stack_pool& pool = rung::stack_pool::common();
    constexpr int limit = 100;
    pool.configure({.limit = limit});
    const auto spawn_named = [](rung::io_context& ctx, int n, int& refused) {
        for (int i = 0; i < n; ++i) {
            rung::spawn(
                ctx, {.name = "named"}, [] { rung::this_fiber::sleep_for(1ms); },
                [&](const std::exception_ptr& e) { refused += e ? 1 : 0; });
        }
        ctx.run();
        ctx.restart();
    };
    const auto keep_all_idle = [](rung::io_context& ctx) {
        for (int i = 0; i < limit; ++i) {
            rung::spawn(ctx, [] { rung::this_fiber::yield(); });
        }
        ctx.run();
        ctx.restart();
    };
    int refused = 0;
    rung::io_context ctx(1);
    keep_all_idle(ctx);
    spawn_named(ctx, limit, refused);
    BOOST_TEST(refused == 0);
    keep_all_idle(ctx);
    std::thread([&] {
        rung::io_context other(1);
        spawn_named(other, limit, refused);
        BOOST_TEST(refused == 0);
        spawn_named(other, limit + 50, refused);
        BOOST_TEST(refused == 50);
    }).join();
    BOOST_TEST(pool.statistics().in_use == 0U);
    pool.configure({});
}

BOOST_AUTO_TEST_CASE(any_thread_may_look_at_the_stacks_of_others) {
    rung::stack_pool pool({.keep = 2});
    constexpr int fibers = 10;
    std::atomic<bool> over = false;
    std::thread others([&] {
        rung::io_context ctx(1);
        for (int round = 0; round < 50; ++round) {
            for (int i = 0; i < fibers; ++i) {
                rung::spawn(ctx, {.stacks = &pool}, [] { rung::this_fiber::yield(); });
            }
            ctx.run();
            ctx.restart();
        }
        over = true;
    });
    std::size_t most = 0;
    while (!over) {
        most = std::max(most, pool.statistics().in_use);
        pool.deallocate(pool.allocate());
    }
    others.join();
    BOOST_TEST(most <= static_cast<std::size_t>(fibers));
    BOOST_TEST(pool.statistics().in_use == 0U);
    BOOST_TEST(pool.statistics().most_in_use >= static_cast<std::size_t>(fibers));
}

BOOST_AUTO_TEST_CASE(guard_pages_leave_mappings_to_the_program) {
    /// Locked memory, for which the kernel has no light guard pages.
    class locked_memory : public rung::stack_memory {
    public:
        void* map(std::size_t bytes) override {
            void* const at = stack_memory::map(bytes);
            all_locked = ::mlock2(at, bytes, MLOCK_ONFAULT) == 0 && all_locked;
            return at;
        }
        bool all_locked = true;
    };
    locked_memory memory;
    rung::stack_pool pool({.stack_size = 16 * kib, .keep = 0}, &memory);
    std::size_t most = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> most;
    std::vector<rung::stack> stacks;
    std::string error;
    try {
        while (stacks.size() < most / 4 + 10) {
            stacks.push_back(pool.allocate());
        }
    } catch (const system_error& e) {
        BOOST_TEST((e.code() == boost::system::errc::not_enough_memory));
        error = e.what();
    }
    BOOST_TEST((!error.empty() || !memory.all_locked));  // not every process may lock so much
    if (!error.empty()) {
        BOOST_TEST(error.find("vm.max_map_count") != std::string::npos);
        BOOST_TEST(stacks.size() <= most / 4);
        BOOST_TEST(stacks.size() > most / 5);
    }
    for (const rung::stack& s : stacks) {
        pool.deallocate(s);
    }
    BOOST_TEST(pool.statistics().in_use == 0U);
}

BOOST_AUTO_TEST_CASE(memory_goes_back_to_the_system) {
    counting_memory memory;
    {
        rung::stack_pool pool({.keep = 4}, &memory);
        std::vector<rung::stack> stacks;
        for (int i = 0; i < 64; ++i) {
            stacks.push_back(pool.allocate());
            std::memset(stacks.back().bottom, 1, stacks.back().size);
        }
        const auto full = pool.statistics();
        BOOST_TEST(full.resident >= 64 * stacks[0].size);
        BOOST_TEST(full.deepest_use == stacks[0].size);
        BOOST_TEST(full.mapped == memory.mapped);
        for (const rung::stack& s : stacks) {
            pool.deallocate(s);
        }
        const auto kept = pool.statistics();
        BOOST_TEST(kept.resident <= 4 * stacks[0].size);
        BOOST_TEST(kept.released == 60U);
        BOOST_TEST(kept.mapped < full.mapped);
        pool.trim();
        BOOST_TEST(pool.statistics().resident == 0U);
        BOOST_TEST(memory.mapped == 0U);
        BOOST_TEST(pool.statistics().deepest_use == stacks[0].size);
        pool.deallocate(pool.allocate());
    }
}

BOOST_AUTO_TEST_CASE(memory_beyond_a_smaller_limit_goes_back_at_once) {
    rung::stack_pool pool({.keep = 64});
    std::vector<rung::stack> stacks;
    for (int i = 0; i < 64; ++i) {
        stacks.push_back(pool.allocate());
        std::memset(stacks.back().bottom, 1, stacks.back().size);
    }
    for (const rung::stack& s : stacks) {
        pool.deallocate(s);
    }
    BOOST_TEST(pool.statistics().released == 0U);
    pool.configure({.keep = 4});
    BOOST_TEST(pool.statistics().released == 60U);
    BOOST_TEST(pool.statistics().resident <= 4 * stacks[0].size);
}

BOOST_AUTO_TEST_CASE(a_refused_stack_goes_to_the_token) {
    rung::io_context ctx;
    rung::stack_pool pool({.limit = 1});
    int refused = 0;
    for (int i = 0; i < 3; ++i) {
        rung::spawn(
            ctx, {.stacks = &pool}, [] { rung::this_fiber::sleep_for(1ms); },
            [&](const std::exception_ptr& e) {
                try {
                    if (e) {
                        std::rethrow_exception(e);
                    }
                } catch (const system_error& error) {
                    BOOST_TEST((error.code() == rung::error::stack_limit));
                    ++refused;
                }
            });
    }
    ctx.run();
    BOOST_TEST(refused == 2);
    BOOST_TEST(pool.statistics().in_use == 0U);
}

BOOST_AUTO_TEST_CASE(fibers_get_the_stack_that_they_ask_for) {
    rung::io_context ctx;
    rung::stack_pool pool;
    for (int i = 0; i < 3; ++i) {
        rung::spawn(ctx, {.stack_size = 2048 * kib, .stacks = &pool},
                    [] { BOOST_TEST(dig(1500 * kib) > 0U); });
    }
    ctx.run();
    const rung::stack_statistics s = pool.statistics();
    BOOST_TEST(s.most_in_use == 1U);  // one after the other, on the same stack
    BOOST_TEST(s.deepest_use >= 1500 * kib);
    BOOST_TEST(s.idle > 0U);
}

BOOST_AUTO_TEST_CASE(a_finished_fiber_leaves_its_stack_to_the_next) {
    rung::stack_pool& pool = rung::stack_pool::common();
    std::thread([&] {
        rung::io_context ctx;
        const auto before = pool.statistics();
        for (int i = 0; i < 1000; ++i) {
            rung::spawn(ctx, [] { dig(4 * kib); });
        }
        ctx.run();
        const auto after = pool.statistics();
        BOOST_TEST(after.most_in_use <= before.most_in_use + 1);
        BOOST_TEST(after.in_use == before.in_use);
    }).join();
}

BOOST_AUTO_TEST_CASE(the_page_below_a_stack_is_guarded) {
    rung::stack_pool pool;
    const rung::stack s = pool.allocate();
    const pid_t child = ::fork();
    BOOST_REQUIRE(child != -1);
    if (child == 0) {
        ::signal(SIGSEGV, SIG_DFL);
        static_cast<volatile char*>(s.bottom)[-1] = 1;
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
    BOOST_TEST(status != 0);
#else
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
#endif
    pool.deallocate(s);
}

BOOST_AUTO_TEST_CASE(without_guard_pages_stacks_touch) {
    rung::stack_pool pool({.guard_pages = false});
    const rung::stack a = pool.allocate();
    const rung::stack b = pool.allocate();
    BOOST_TEST(static_cast<char*>(b.bottom) - top_of(a) == 0);
    pool.deallocate(a);
    pool.deallocate(b);
}

BOOST_AUTO_TEST_SUITE_END()
