#include <sys/mman.h>

#include <boost/system/system_error.hpp>
#include <cerrno>
#include <rung/stack_pool.hpp>

#include "stack_store.hpp"

namespace rung {

void* stack_memory::map(std::size_t bytes) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED) {
        throw boost::system::system_error(
            errno, boost::system::generic_category(),
            "rung::stack_pool: the system refuses memory for stacks; see ulimit -v, "
            "vm.overcommit_memory and vm.max_map_count");
    }
    ::madvise(at, bytes, MADV_NOHUGEPAGE);  // one touched page must not cost 2 MiB
    return at;
}

void stack_memory::unmap(void* at, std::size_t bytes) noexcept { ::munmap(at, bytes); }

void stack_memory::release(void* at, std::size_t bytes) noexcept {
    ::madvise(at, bytes, MADV_DONTNEED);
}

stack_pool::stack_pool(const stack_pool_options& options, stack_memory* memory)
    : store_(std::make_unique<detail::stack_store>(options, memory)) {}

stack_pool::~stack_pool() = default;

stack_pool& stack_pool::common() {
    // Never destroyed: threads that outlive the statics give stacks back, too.
    static stack_pool* const pool = new stack_pool;
    return *pool;
}

void stack_pool::configure(const stack_pool_options& options) { store_->configure(options); }

stack stack_pool::allocate(std::size_t size) { return store_->take_bare(size)->memory(); }

void stack_pool::deallocate(stack s) noexcept { store_->give(store_->find(s.bottom)); }

void stack_pool::trim() noexcept { store_->trim(); }

stack_statistics stack_pool::statistics() const { return store_->statistics(); }

}  // namespace rung
