#pragma once

#include <cstdint>

namespace rung::detail {

/// State whose locks the forking thread holds during every `fork(2)` of the process, so that the
/// child, in which no other thread exists, finds them free and what they guard whole.
///
/// That needs no `notify_fork`. It does not reach children made by `vfork`, which have their
/// parent's memory and threads, nor those of a bare `clone` or `_Fork`, which are to call `exec` or
/// `_exit`.
class fork_guarded {
public:
    fork_guarded(const fork_guarded&) = delete;
    fork_guarded& operator=(const fork_guarded&) = delete;

    /// Whether this is a child of `vfork`, in its parent's memory.
    static bool in_borrowed_memory() noexcept;

protected:
    /// The order in which they are locked: whoever holds a lock may take one of a later kind.
    enum class order : std::uint8_t { guests, lookups, engine };

    fork_guarded() = default;
    ~fork_guarded() = default;

    /// Joins those that are asked at each fork, and waits for one that is under way; guests do not,
    /// which join under a lock of Asio's that such a fork may want. To be called at the end of a
    /// constructor, and `leave_forks()` at the beginning of the destructor.
    void join_forks(order o) noexcept;
    void leave_forks() noexcept;

    /// Takes the locks.
    virtual void lock_for_fork() noexcept = 0;
    /// Gives them back in the parent, and where there was no fork after all.
    virtual void go_on() noexcept = 0;
    /// Gives them back in the child, without the other threads that there were.
    virtual void go_on_alone() noexcept = 0;

private:
    friend struct fork_registry;

    // Guarded by the registry's mutex, once that has received this.
    fork_guarded* next_ = nullptr;
    fork_guarded** at_ = nullptr;  // what points here
    order order_ = order::guests;
};

}  // namespace rung::detail
