#include <malloc.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <rung/config.hpp>
#include <rung/detail/recycler.hpp>
#include <set>
#include <thread>
#include <vector>

#include "allocations.hpp"

using rung::detail::recycler;

namespace {

#if defined(RUNG_ASAN)
constexpr bool recycles = false;  // so that the sanitizer sees every block
#else
constexpr bool recycles = true;
#endif

constexpr std::array<std::size_t, recycler::classes> class_sizes{64, 128, 256, 512, 1'024, 2'048};

void free_all(std::vector<void*>& blocks, std::size_t size) {
    for (void* const b : blocks) {
        recycler::deallocate(b, size);
    }
    blocks.clear();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_block_is_large_enough_aligned_and_its_own) {
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t size = 0; size <= recycler::largest + 100; size += size < 300 ? 1 : 61) {
        void* const p = recycler::allocate(size);
        BOOST_REQUIRE(p != nullptr);
        BOOST_REQUIRE(reinterpret_cast<std::uintptr_t>(p) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0U);
        std::memset(p, static_cast<int>(size % 251), size);
        blocks.emplace_back(p, size);
    }
    for (const auto& [p, size] : blocks) {
        const auto* const bytes = static_cast<const unsigned char*>(p);
        for (std::size_t i = 0; i < size; ++i) {
            BOOST_REQUIRE(bytes[i] == size % 251);
        }
        recycler::deallocate(p, size);
    }
}

BOOST_AUTO_TEST_CASE(a_freed_block_serves_the_next_request_of_its_class) {
    if (!recycles) {
        return;
    }
    for (const std::size_t size : class_sizes) {
        void* const p = recycler::allocate(size);
        recycler::deallocate(p, size);
        void* const smaller = recycler::allocate(size / 2 + 1);
        BOOST_TEST(smaller == p);
        void* const other = recycler::allocate(size);
        BOOST_TEST(other != p);
        recycler::deallocate(smaller, size / 2 + 1);
        recycler::deallocate(other, size);
    }
}

BOOST_AUTO_TEST_CASE(classes_do_not_mix) {
    if (!recycles) {
        return;
    }
    void* const small = recycler::allocate(64);
    recycler::deallocate(small, 64);
    void* const larger = recycler::allocate(65);
    BOOST_TEST(larger != small);
    recycler::deallocate(larger, 65);
}

BOOST_AUTO_TEST_CASE(blocks_beyond_the_largest_class_are_not_kept) {
    if (!test::counts_allocations()) {
        return;
    }
    recycler::deallocate(recycler::allocate(recycler::largest + 1), recycler::largest + 1);
    const std::uint64_t before = test::allocations();
    recycler::deallocate(recycler::allocate(recycler::largest + 1), recycler::largest + 1);
    BOOST_TEST(test::allocations() == before + 1);
}

BOOST_AUTO_TEST_CASE(in_steady_state_one_thread_allocates_nothing_from_the_system) {
    if (!test::counts_allocations()) {
        return;
    }
    std::mt19937 random(1);
    std::vector<void*> blocks;
    blocks.reserve(10'000);
    for (const std::size_t size : class_sizes) {
        std::uint64_t before = 0;
        for (int round = 0; round < 20; ++round) {
            // Past both magazines, so that the depot takes part.
            const std::size_t most = 5 * recycler::capacity(0);
            const std::size_t n = round == 0 ? most : random() % most;
            for (std::size_t i = 0; i < n; ++i) {
                blocks.push_back(recycler::allocate(size));
            }
            free_all(blocks, size);
            if (round == 0) {
                before = test::allocations();
            }
        }
        BOOST_TEST(test::allocations() == before, "class of " << size << " bytes");
    }
}

BOOST_AUTO_TEST_CASE(blocks_freed_by_another_thread_come_back_without_the_system) {
    if (!test::counts_allocations()) {
        return;
    }
    constexpr std::size_t size = 128;
    constexpr std::size_t batch = 1'000;
    constexpr int rounds = 30;
    std::mutex mutex;
    std::vector<void*> handed_over;
    handed_over.reserve(2 * batch);
    std::atomic<int> turn{0};  // even: this thread allocates; odd: the other one frees
    std::thread other([&] {
        std::vector<void*> mine;
        mine.reserve(2 * batch);
        for (int t = 1; t < 2 * rounds; t += 2) {
            while (turn.load() != t) {
                std::this_thread::yield();
            }
            {
                const std::lock_guard lock(mutex);
                mine.swap(handed_over);
            }
            free_all(mine, size);
            turn.store(t + 1);
        }
    });
    std::uint64_t before = 0;
    for (int t = 0; t < 2 * rounds; t += 2) {
        while (turn.load() != t) {
            std::this_thread::yield();
        }
        if (t == 2 * rounds / 2) {
            before = test::allocations();
        }
        {
            const std::lock_guard lock(mutex);
            for (std::size_t i = 0; i < batch; ++i) {
                handed_over.push_back(recycler::allocate(size));
            }
        }
        turn.store(t + 1);
    }
    other.join();
    BOOST_TEST(test::allocations() == before);
}

BOOST_AUTO_TEST_CASE(eight_threads_exchange_blocks_and_none_is_given_out_twice) {
    constexpr int threads_count = 8;
    constexpr int steps = 20'000;
    struct exchange {
        std::mutex mutex;
        std::vector<std::uint64_t*> blocks;  // guarded by mutex
    };
    exchange pool;
    std::atomic<std::uint64_t> damaged{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < threads_count; ++t) {
        threads.emplace_back([&, t] {
            std::minstd_rand random(static_cast<unsigned>(t) + 1);
            for (int i = 0; i < steps; ++i) {
                std::uint64_t* give = nullptr;
                if (random() % 2 == 0) {
                    give = static_cast<std::uint64_t*>(recycler::allocate(200));
                    give[0] = give[24] = (static_cast<std::uint64_t>(t) << 32) + random();
                }
                std::uint64_t* take = nullptr;
                {
                    const std::lock_guard lock(pool.mutex);
                    if (give != nullptr) {
                        pool.blocks.push_back(give);
                    } else if (!pool.blocks.empty()) {
                        std::swap(pool.blocks[random() % pool.blocks.size()], pool.blocks.back());
                        take = pool.blocks.back();
                        pool.blocks.pop_back();
                    }
                }
                if (take != nullptr) {
                    damaged += take[0] == take[24] ? 0 : 1;
                    take[0] = 0;
                    take[24] = 1;
                    recycler::deallocate(take, 200);
                }
            }
        });
    }
    for (std::thread& t : threads) {
        t.join();
    }
    BOOST_TEST(damaged.load() == 0U);
    const std::set<std::uint64_t*> distinct(pool.blocks.begin(), pool.blocks.end());
    BOOST_TEST(distinct.size() == pool.blocks.size());
    for (std::uint64_t* const b : pool.blocks) {
        recycler::deallocate(b, 200);
    }
}

BOOST_AUTO_TEST_CASE(a_flush_returns_the_threads_blocks_to_the_system) {
    if (!test::counts_allocations()) {
        return;
    }
    for (int round = 0; round < 3; ++round) {
        recycler::deallocate(recycler::allocate(2'000), 2'000);
        const std::int64_t before = test::live_allocations();
        recycler::flush();
        BOOST_TEST(test::live_allocations() < before);
        recycler::flush();
    }
}

BOOST_AUTO_TEST_CASE(what_is_kept_for_later_has_a_limit) {
    if (!test::counts_allocations()) {
        return;
    }
    constexpr std::size_t size = recycler::largest;
    constexpr std::int64_t limit = recycler::depot_limit_bytes / size;
    std::vector<void*> blocks(limit + limit / 2);
    const std::int64_t before = test::live_allocations();
    for (void*& b : blocks) {
        b = recycler::allocate(size);
    }
    for (void* const b : blocks) {
        recycler::deallocate(b, size);
    }
    // The depot's share, and the two magazines of this thread.
    BOOST_TEST(test::live_allocations() - before <= limit + 2 * recycler::capacity(5));
}

BOOST_AUTO_TEST_CASE(a_thread_that_ends_leaves_no_block_behind) {
    if (!test::counts_allocations()) {
        return;
    }
    // Two kinds of threads: one that allocates and frees, and one that only frees.
    constexpr std::size_t n = 20;
    const auto round = [&](bool allocates) {
        std::vector<void*> blocks;
        for (std::size_t i = 0; i < n; ++i) {
            blocks.push_back(recycler::allocate(1'000));
        }
        std::thread([&] {
            if (allocates) {
                blocks.push_back(recycler::allocate(1'000));
            }
            free_all(blocks, 1'000);
        }).join();
    };
    for (const bool allocates : {true, false}) {
        const std::int64_t before = test::live_allocations();
        for (int i = 0; i < 50; ++i) {
            round(allocates);
        }
        // What stays is in this thread's cache and in the depot, whatever the number of threads.
        BOOST_TEST(test::live_allocations() - before <= static_cast<std::int64_t>(n) + 2);
    }
}

BOOST_AUTO_TEST_CASE(a_block_freed_while_a_thread_ends_is_not_lost) {
    if (!test::counts_allocations()) {
        return;
    }
    // A thread-local object that is destroyed after the recycler's own.
    struct late {
        void* block = nullptr;
        ~late() {
            recycler::deallocate(block, 500);
            recycler::deallocate(recycler::allocate(500), 500);
        }
    };
    const auto round = [] {
        std::thread([] {
            static thread_local late l;
            l.block = recycler::allocate(500);
        }).join();
    };
    round();
    const std::int64_t before = test::live_allocations();
    for (int i = 0; i < 20; ++i) {
        round();
    }
    BOOST_TEST(test::live_allocations() - before <= 2);
}

BOOST_AUTO_TEST_CASE(the_allocator_serves_types_of_any_size_and_alignment) {
    struct alignas(128) wide {
        unsigned char bytes[200];
    };
    std::vector<wide, rung::detail::recycling_allocator<wide>> wides(3);
    for (const wide& w : wides) {
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(&w) % 128 == 0U);
    }
    std::vector<int, rung::detail::recycling_allocator<int>> ints;
    for (int i = 0; i < 10'000; ++i) {
        ints.push_back(i);
    }
    for (int i = 0; i < 10'000; ++i) {
        BOOST_REQUIRE(ints[static_cast<std::size_t>(i)] == i);
    }
    rung::detail::recycling_allocator<char> a;
    a.deallocate(a.allocate(0), 0);
    BOOST_TEST((a == rung::detail::recycling_allocator<int>()));
}

BOOST_AUTO_TEST_CASE(a_node_whose_construction_fails_gives_its_memory_back) {
    struct throws {
        explicit throws(bool fail) {
            if (fail) {
                throw 7;
            }
        }
        std::array<unsigned char, 300> bytes{};
    };
    const rung::detail::recycling_allocator<char> a;
    throws* const first = rung::detail::make_operation_node<throws>(a, false);
    rung::detail::free_operation_node(first, a);
    BOOST_CHECK_THROW(rung::detail::make_operation_node<throws>(a, true), int);
    throws* const again = rung::detail::make_operation_node<throws>(a, false);
    if (recycles) {
        BOOST_TEST(again == first);
    }
    rung::detail::free_operation_node(again, a);
}

BOOST_AUTO_TEST_CASE(what_a_burst_has_left_is_given_back_by_and_by) {
    if (!recycles) {
        return;
    }
    constexpr std::size_t burst = 100'000;
    constexpr std::size_t size = 256;
    constexpr std::int64_t second_ns = 1'000'000'000;
    std::int64_t now_ns = 1'000 * second_ns;
    const auto used = [] { return ::mallinfo2().uordblks; };
    const std::size_t before = used();
    std::vector<void*> blocks(burst);
    const auto take_all = [&] {
        for (void*& b : blocks) {
            b = recycler::allocate(size);
        }
    };
    const auto give_all = [&] {
        for (void* const b : blocks) {
            recycler::deallocate(b, size);
        }
    };
    take_all();
    give_all();
    BOOST_TEST(recycler::has_surplus());
    // While the bursts come again there is no surplus: nothing of what they need goes away.
    for (int i = 0; i < 5; ++i) {
        recycler::give_back(now_ns += second_ns);
        const std::uint64_t allocated = test::allocations();
        take_all();
        BOOST_TEST(test::allocations() == allocated);
        give_all();
    }
    // Then each step gives back a little, and the last one says that there is no more to do.
    int steps = 0;
    std::int64_t next_ns = now_ns;
    while (next_ns != std::numeric_limits<std::int64_t>::max() && steps < 10'000) {
        const std::size_t held = used();
        next_ns = recycler::give_back(now_ns);
        BOOST_TEST_REQUIRE(held - used() <= 4 * 65 * 1'024U);
        BOOST_TEST_REQUIRE(next_ns > now_ns);
        now_ns = next_ns;
        ++steps;
    }
    BOOST_TEST(steps < 10'000);
    BOOST_TEST(!recycler::has_surplus());
    BOOST_TEST(used() < before + blocks.capacity() * sizeof(void*) + (std::size_t{2} << 20));
}
