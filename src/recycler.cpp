#include <mutex>
#include <new>
#include <rung/detail/recycler.hpp>
#include <utility>

namespace rung::detail {

constinit thread_local recycler::thread_cache recycler::cache_{};

/// Full magazines of one size class, for any thread to take.
struct recycler::depot {
    std::mutex mutex;
    block* first = nullptr;     // guarded by mutex
    std::size_t magazines = 0;  // guarded by mutex
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
        if (d.first == nullptr) {
            return ::operator new(smallest << c, std::nothrow);
        }
        loaded = {d.first, capacity(c)};
        d.first = d.first->next_magazine;
        --d.magazines;
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
            surplus->next_magazine = d.first;
            d.first = surplus;
            ++d.magazines;
            return;
        }
    }
    while (surplus != nullptr) {
        ::operator delete(std::exchange(surplus, surplus->next));
    }
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
