#pragma once

#include <cstdint>
#include <ctime>
#include <rung/io_context.hpp>

struct io_uring_sqe;
struct io_uring_cqe;
struct io_uring_probe;

namespace rung::detail {

/// The two queues as they lie in memory: indices that the two sides advance, and entries.
///
/// The ring produces submission entries and consumes completions; the backend does the reverse.
struct ring_memory {
    unsigned* sq_head = nullptr;  // advanced by the backend
    unsigned* sq_tail = nullptr;  // advanced by the ring
    unsigned* sq_flags = nullptr;
    unsigned* cq_head = nullptr;  // advanced by the ring
    unsigned* cq_tail = nullptr;  // advanced by the backend
    io_uring_sqe* sqes = nullptr;
    io_uring_cqe* cqes = nullptr;
    unsigned sq_entries = 0;
    unsigned cq_entries = 0;
};

/// What carries out submission entries: the kernel, or what stands in for it.
class ring_backend {
public:
    virtual ~ring_backend() = default;

    virtual ring_memory memory() noexcept = 0;
    virtual backend kind() const noexcept = 0;

    /// Whether the loop may sleep outside of `enter` while it has no operation there.
    virtual bool may_be_left() const noexcept { return false; }

    /// As `io_uring_enter` with IORING_ENTER_GETEVENTS where `get_events`: takes up to `to_submit`
    /// entries and waits for `min_complete` completions, for `timeout` at most if it is not null.
    /// Gives the number of entries taken, or a negated errno.
    virtual int enter(unsigned to_submit, unsigned min_complete, bool get_events,
                      const timespec* timeout) noexcept = 0;

    /// In the child of a fork: lets go of what is the parent's. `memory()` is gone, and `enter`
    /// fails.
    virtual void abandon() noexcept {}
    /// After that: makes itself anew. Throws as `make_kernel_backend`.
    virtual void rebuild() {}
};

/// The entry that waits for a futex: IORING_OP_FUTEX_WAIT, Linux 6.7.
inline constexpr int futex_wait_opcode = 51;
/// Whether the kernel's ring has it. Asks the kernel once.
bool waits_for_futexes() noexcept;

/// Whether a kernel of which this is said is Linux 5.19 or newer, by an opcode that came with it.
bool kernel_suffices(const io_uring_probe& probe) noexcept;

/// The kernel's ring. Throws `boost::system::system_error` that names cause and cure.
std::unique_ptr<ring_backend> make_kernel_backend(const io_context_options& options);

}  // namespace rung::detail
