#include <algorithm>
#include <mutex>
#include <new>
#include <rung/detail/recycler.hpp>
#include <utility>

namespace rung::detail {

constinit std::atomic<std::uint32_t> recycler::depot_magazines_{0};
constinit thread_local recycler::thread_cache recycler::cache_{};

/// Full magazines of one size class, for any thread to take.
struct recycler::depot {
    std::mutex mutex;
    block* first = nullptr;     // guarded by mutex
    std::size_t magazines = 0;  // guarded by mutex
    std::size_t fewest = 0;     // of them in this period; guarded by mutex
    std::size_t surplus = 0;    // to be given back in this period; guarded by mutex

    block* take() noexcept {
        block* const b = first;
        if (b != nullptr) {
            first = b->next_magazine;
            --magazines;
            fewest = std::min(fewest, magazines);
            depot_magazines_.fetch_sub(1, std::memory_order_relaxed);
        }
        return b;
    }
    void put(block* b) noexcept {
        b->next_magazine = first;
        first = b;
        ++magazines;
        depot_magazines_.fetch_add(1, std::memory_order_relaxed);
    }
};

/// When surplus is given back, by whichever thread comes first.
struct recycler::schedule {
    std::mutex mutex;
    std::int64_t period_end_ns = 0;  // guarded by mutex
    std::int64_t next_step_ns = 0;   // guarded by mutex
};

recycler::depot& recycler::depot_of(std::size_t c) noexcept {
    // Without a destructor to speak of: threads that outlive the statics give blocks back, too.
    static constinit std::array<depot, classes> depots;
    return depots[c];
}

/// Opens the calling thread's cache. False if the thread is ending, and its cache is gone.
bool recycler::open_cache() noexcept {
    struct at_exit {
        ~at_exit() {
            flush();
            cache_.loaded = closed();
            cache_.at = thread_cache::state::ended;
        }
    };
    if (cache_.at == thread_cache::state::fresh) {
        cache_.at = thread_cache::state::open;
        cache_.loaded = {};
        static thread_local at_exit guard;
        static_cast<void>(guard);
    }
    return cache_.at == thread_cache::state::open;
}

void* recycler::refill(std::size_t c) noexcept {
    if (!open_cache()) {
        return ::operator new(smallest << c, std::nothrow);
    }
    magazine& loaded = cache_.loaded[c];
    magazine& spare = cache_.spare[c];
    if (spare.free != nullptr) {
        std::swap(loaded, spare);
    } else {
        depot& d = depot_of(c);
        const std::lock_guard lock(d.mutex);
        block* const full = d.take();
        if (full == nullptr) {
            return ::operator new(smallest << c, std::nothrow);
        }
        loaded = {full, capacity(c)};
    }
    block* const b = loaded.free;
    loaded.free = b->next;
    --loaded.count;
    return b;
}

void recycler::refuse() { throw std::bad_alloc(); }

void recycler::spill(void* p, std::size_t c) noexcept {
    if (!open_cache()) {
        ::operator delete(p);
        return;
    }
    magazine& loaded = cache_.loaded[c];
    magazine& spare = cache_.spare[c];
    block* surplus = nullptr;
    if (loaded.count == capacity(c)) {
        surplus = std::exchange(spare, loaded).free;
        loaded = {};
    }
    put(p, loaded);
    if (surplus == nullptr) {
        return;
    }
    {
        depot& d = depot_of(c);
        const std::lock_guard lock(d.mutex);
        if ((d.magazines + 1) * capacity(c) * (smallest << c) <= depot_limit_bytes) {
            d.put(surplus);
            return;
        }
    }
    free_all(surplus);
}

void recycler::free_all(block* b) noexcept {
    while (b != nullptr) {
        ::operator delete(std::exchange(b, b->next));
    }
}

/// What has lain in the depot for the whole of a period is surplus in the next.
void recycler::begin_period() noexcept {
    for (std::size_t c = 0; c < classes; ++c) {
        depot& d = depot_of(c);
        const std::lock_guard lock(d.mutex);
        d.surplus = std::exchange(d.fewest, d.magazines);
    }
}

/// A magazine of it, or null.
recycler::block* recycler::take_surplus() noexcept {
    for (std::size_t c = 0; c < classes; ++c) {
        depot& d = depot_of(c);
        const std::lock_guard lock(d.mutex);
        if (d.surplus != 0) {
            --d.surplus;
            if (block* const b = d.take()) {
                return b;
            }
        }
    }
    return nullptr;
}

std::int64_t recycler::give_back(std::int64_t now_ns) noexcept {
    constexpr std::int64_t period_ns = 1'000'000'000;
    // A step takes some 20 µs, by which a wake-up may be late, and is a small part of the time.
    constexpr std::int64_t step_ns = 10'000'000;
    constexpr int magazines_a_step = 4;

    static constinit schedule s;
    const std::unique_lock lock(s.mutex, std::try_to_lock);
    if (!lock) {
        return now_ns + step_ns;  // another thread is at it
    }
    if (now_ns < s.next_step_ns) {
        return s.next_step_ns;
    }
    if (now_ns >= s.period_end_ns) {
        begin_period();
        s.period_end_ns = now_ns + period_ns;
    }
    s.next_step_ns = now_ns + step_ns;
    for (int i = 0; i < magazines_a_step && has_surplus(); ++i) {
        block* const b = take_surplus();
        if (b == nullptr) {
            s.next_step_ns = s.period_end_ns;
            break;
        }
        free_all(b);
    }
    return has_surplus() ? s.next_step_ns : std::numeric_limits<std::int64_t>::max();
}

void recycler::lock_depots() noexcept {
    for (std::size_t c = 0; c < classes; ++c) {
        depot_of(c).mutex.lock();
    }
}

void recycler::unlock_depots() noexcept {
    for (std::size_t c = 0; c < classes; ++c) {
        depot_of(c).mutex.unlock();
    }
}

void recycler::flush() noexcept {
    for (std::size_t c = 0; c < classes; ++c) {
        for (auto* const cache : {&cache_.loaded[c], &cache_.spare[c]}) {
            // A magazine that is not full would be short for whoever took it.
            while (cache->free != nullptr) {
                ::operator delete(std::exchange(cache->free, cache->free->next));
                --cache->count;
            }
        }
    }
}

}  // namespace rung::detail
