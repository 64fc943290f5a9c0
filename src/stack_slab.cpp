#include "stack_slab.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdio>
#include <new>
#include <string>

namespace rung::detail {

namespace {

// Since Linux 6.13, absent from older headers: a guard in the page table, without a mapping.
constexpr int advice_guard_install = 102;

/// Guard pages of the whole process that split a mapping: each costs two.
std::atomic<std::size_t> heavy_guards{0};

std::size_t most_mappings() noexcept {
    static const std::size_t most = [] {
        std::size_t n = 65'530;  // the kernel's default
        if (std::FILE* const f = std::fopen("/proc/sys/vm/max_map_count", "re")) {
            if (std::fscanf(f, "%zu", &n) != 1) {
                n = 65'530;
            }
            std::fclose(f);
        }
        return n;
    }();
    return most;
}

[[noreturn]] void fail(int error, const std::string& what) {
    throw boost::system::system_error(error, boost::system::generic_category(), what);
}

}  // namespace

std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

stack_slab::stack_slab(stack_memory& source, std::size_t stack_size, std::size_t slots,
                       bool guarded)
    : source_(source),
      stack_size_(stack_size),
      guard_size_(guarded ? page_size() : 0),
      count_(slots),
      slots_(std::make_unique<slot[]>(slots)) {
    base_ = static_cast<char*>(source_.map(mapped()));
}

stack_slab::~stack_slab() {
    heavy_guards.fetch_sub(heavy_guards_, std::memory_order_relaxed);
    source_.unmap(base_, mapped());
}

stack stack_slab::memory_of(const slot& s) const noexcept {
    const auto i = static_cast<std::size_t>(&s - slots_.get());
    return {base_ + i * stride() + guard_size_, stack_size_};
}

stack_slab::slot* stack_slab::grow() {
    if (grown_ == count_) {
        return nullptr;
    }
    if (guard_size_ != 0) {
        guard(base_ + grown_ * stride());
    }
    slot& s = slots_[grown_++];
    s.slab = this;
    return &s;
}

void stack_slab::guard(char* page) {
    if (::madvise(page, guard_size_, advice_guard_install) == 0) {
        return;
    }
    // Half of the mappings are left to the program.
    if ((heavy_guards.load(std::memory_order_relaxed) + 1) * 2 > most_mappings() / 2) {
        fail(ENOMEM,
             "rung::stack_pool: guard pages would use up the process's mappings; raise "
             "vm.max_map_count, which is " +
                 std::to_string(most_mappings()) +
                 ", or set stack_pool_options::guard_pages to false");
    }
    if (::mprotect(page, guard_size_, PROT_NONE) != 0) {
        fail(errno, "rung::stack_pool: a guard page is refused; raise vm.max_map_count");
    }
    heavy_guards.fetch_add(1, std::memory_order_relaxed);
    ++heavy_guards_;
}

stack_slab::slot* stack_slab::find(const void* address) noexcept {
    const auto* const at = static_cast<const char*>(address);
    if (at < base_ || at >= base_ + grown_ * stride()) {
        return nullptr;
    }
    return &slots_[static_cast<std::size_t>(at - base_) / stride()];
}

std::size_t stack_slab::measure(slot& s) noexcept {
    constexpr std::size_t most_pages = 256;
    const stack m = memory_of(s);
    std::array<unsigned char, most_pages> pages;
    std::size_t resident = 0;
    std::size_t deepest = 0;
    for (std::size_t done = 0; done < m.size;) {
        const std::size_t bytes = std::min(most_pages * page_size(), m.size - done);
        if (::mincore(static_cast<char*>(m.bottom) + done, bytes, pages.data()) != 0) {
            break;
        }
        for (std::size_t i = 0; i < bytes / page_size(); ++i) {
            if ((pages[i] & 1U) != 0) {
                resident += page_size();
                deepest = std::max(deepest, m.size - done - i * page_size());
            }
        }
        done += bytes;
    }
    s.deepest = std::max(s.deepest, deepest);
    return resident;
}

void stack_slab::release(slot& s) noexcept {
    const stack m = memory_of(s);
    source_.release(m.bottom, m.size);
}

}  // namespace rung::detail
