#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <rung/config.hpp>

namespace rung {

namespace detail {
class stack_store;
}  // namespace detail

/// A stack: `size` usable bytes from `bottom` upwards.
struct stack {
    void* bottom = nullptr;
    std::size_t size = 0;
};

/// Where a `stack_pool` gets memory from. Derive from it to place stacks elsewhere: in huge pages,
/// on a NUMA node, in memory that was locked beforehand. Called under the pool's lock.
class stack_memory {
public:
    virtual ~stack_memory() = default;
    /// Maps that many bytes, a multiple of the page size, aligned to a page and readable and
    /// writable. Throws `system_error`.
    virtual void* map(std::size_t bytes);
    /// Gives a mapping back.
    virtual void unmap(void* at, std::size_t bytes) noexcept;
    /// Lets go of the contents of whole pages, which may be used again.
    virtual void release(void* at, std::size_t bytes) noexcept;
};

/// How a `stack_pool` is made. Every field has a usable default.
struct stack_pool_options {
    /// Usable bytes of a stack for which no size is asked; rounded up to a size class. Pages count
    /// from their first use only.
#if defined(RUNG_ASAN) || defined(RUNG_TSAN)
    std::size_t stack_size = std::size_t{512} << 10;
#else
    std::size_t stack_size = std::size_t{128} << 10;
#endif
    /// Most stacks in use at once, whatever their sizes; beyond it `rung::error::stack_limit`. Of
    /// `common()` a thread keeps up to 256 that are idle: those are not in use, but its next fibers
    /// take them unasked, so that several threads may have that many more.
    std::size_t limit = 1'000'000;
    /// Idle stacks of each size that keep their memory. The memory of the others goes back to the
    /// system, all but the address space, and that too once a whole slab of stacks is idle.
    std::size_t keep = 1024;
    /// A page without access below each stack, so that an overflow ends the program and does not
    /// write into a neighbour. Costs nothing from Linux 6.13 on; before, two of the process's
    /// mappings a stack (`vm.max_map_count`, 65,530 by default).
    bool guard_pages = true;
};

/// A snapshot of a `stack_pool`.
struct stack_statistics {
    /// Stacks handed out now; those that wait in a thread's cache for its next fiber are not.
    std::size_t in_use = 0;
    /// Stacks that are ready to be handed out without asking the system.
    std::size_t idle = 0;
    /// Most stacks that were ever needed at the same time.
    std::size_t most_in_use = 0;
    /// Bytes of the deepest use of any stack so far, in whole pages.
    std::size_t deepest_use = 0;
    /// Bytes of stacks in memory now.
    std::size_t resident = 0;
    /// Bytes of address space mapped.
    std::size_t mapped = 0;
    /// Stacks whose memory was given back to the system.
    std::uint64_t released = 0;
    /// Times that a stack was refused.
    std::uint64_t refused = 0;
};

/// Pooled stacks with guard pages, in size classes of 16 KiB to 64 MiB, each twice the one before.
///
/// Fibers take theirs from `stack_pool::common()` unless `fiber_options` name another pool. Other
/// switchers may use a pool, too. Thread-safety: all members may be called on any thread, but for
/// construction and destruction. Precondition of destruction: no stack is in use.
///
/// Example: a pool of its own for one kind of session, at most 1,000 of them:
///
///     rung::stack_pool pool({.stack_size = 32 << 10, .limit = 1000});
///     rung::spawn(ctx, {.stacks = &pool}, session);
class stack_pool {
public:
    static constexpr std::size_t smallest = std::size_t{16} << 10;
    static constexpr std::size_t largest = std::size_t{64} << 20;

    /// `memory`, if any, must outlive the pool.
    explicit stack_pool(const stack_pool_options& options = {}, stack_memory* memory = nullptr);
    ~stack_pool();
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;

    /// The pool of fibers for which no other is named. It lives as long as the process.
    static stack_pool& common();

    /// Changes the options but for the stack size, which is fixed; for `common()`. Idle stacks beyond
    /// a smaller `keep` give their memory back now.
    void configure(const stack_pool_options& options);

    /// A stack of at least `size` bytes, or of the default size for 0. Errors: `system_error` with
    /// `rung::error::stack_limit` at the limit, `errc::argument_out_of_domain` beyond `largest`,
    /// and `errc::not_enough_memory` where the system refuses memory or, without light guard pages,
    /// the mappings allowed by `vm.max_map_count` are nearly used up.
    stack allocate(std::size_t size = 0);
    /// Takes a stack back that `allocate` of this pool gave out.
    void deallocate(stack s) noexcept;

    /// Gives the memory of idle stacks back to the system, and unmaps slabs that are wholly idle.
    /// What threads keep in their caches stays.
    void trim() noexcept;

    /// A snapshot. It looks at every stack, so that it is not for hot paths.
    stack_statistics statistics() const;

    /// The store behind the pool, for fibers.
    detail::stack_store& store() const noexcept { return *store_; }

private:
    std::unique_ptr<detail::stack_store> store_;
};

}  // namespace rung
