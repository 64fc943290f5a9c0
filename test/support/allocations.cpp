#include "allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>
#include <rung/config.hpp>

namespace {

constinit std::atomic<std::uint64_t> calls{0};
constinit std::atomic<std::int64_t> live{0};
constinit thread_local std::uint64_t calls_until_failure = 0;

}  // namespace

namespace test {

bool counts_allocations() noexcept {
#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
    return false;
#else
    return true;
#endif
}

std::uint64_t allocations() noexcept { return calls.load(); }

std::int64_t live_allocations() noexcept { return live.load(); }

void fail_allocation(std::uint64_t n) noexcept { calls_until_failure = n; }

}  // namespace test

#if !defined(RUNG_ASAN) && !defined(RUNG_TSAN)

namespace {

void* allocate(std::size_t size, std::size_t alignment) {
    calls.fetch_add(1, std::memory_order_relaxed);
    if (calls_until_failure != 0 && --calls_until_failure == 0) {
        throw std::bad_alloc();
    }
    void* p = nullptr;
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
        p = std::malloc(size);
    } else if (::posix_memalign(&p, alignment, size) != 0) {
        p = nullptr;
    }
    if (p == nullptr) {
        throw std::bad_alloc();
    }
    live.fetch_add(1, std::memory_order_relaxed);
    return p;
}

void release(void* p) noexcept {
    if (p != nullptr) {
        live.fetch_sub(1, std::memory_order_relaxed);
    }
    std::free(p);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t a) {
    return allocate(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }

#endif
