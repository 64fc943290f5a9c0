#pragma once

#include <sys/socket.h>

#include <boost/system/error_code.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <rung/detail/cancel_link.hpp>

namespace rung::detail {

class io_operation;

/// Learns whether a non-blocking call is worth its price before an entry is queued.
///
/// A receive that finds nothing costs 190 ns; one that finds something saves the trip through the
/// ring, some 700 ns. After two misses in a row only every eighth operation tries.
class speculation {
public:
    bool worth_trying() noexcept {
        if (misses_ < 2) {
            return true;
        }
        skipped_ = static_cast<std::uint8_t>((skipped_ + 1) % 8);
        return skipped_ == 0;
    }
    void hit() noexcept { misses_ = 0; }
    void miss() noexcept {
        if (misses_ < 2) {
            ++misses_;
        }
    }

private:
    std::uint8_t misses_ = 0;
    std::uint8_t skipped_ = 0;
};

/// The operations in flight on one I/O object, so that close and cancel find them.
///
/// It moves with its object. Guarded by the engine's lock.
class io_list {
public:
    io_list() = default;
    io_list(const io_list&) = delete;
    io_list& operator=(const io_list&) = delete;

    bool empty() const noexcept { return front_ == nullptr; }
    io_operation* front() const noexcept { return front_; }
    /// The newest for which the predicate holds, or null.
    template <class Predicate>
    io_operation* newest(Predicate p) const noexcept;
    void push(io_operation* op) noexcept;
    void take(io_list& other) noexcept;
    static void unlink(io_operation* op) noexcept;

    speculation receives;  // guarded by the engine's lock

private:
    io_operation* front_ = nullptr;
};

/// What an operation asks of the kernel, in terms that any backend can carry out.
enum class io_kind : std::uint8_t {
    nop,
    receive,      // into one buffer
    send,         // from one buffer
    receive_msg,  // by msghdr: several buffers, an address or flags
    send_msg,
    accept,
    connect,  // always by a call; the kernel waits for its outcome
    wait,     // for readiness, without a transfer
    read,     // of any descriptor, at its own position, into one buffer
    write,
    read_vector,  // into the `length` buffers of an iovec
    write_vector,
    futex_wait,  // while the word at `address` is `length`; shared by processes
};

/// What is special about the object of an operation.
enum class descriptor_kind : std::uint8_t {
    plain,
    regular_file,   // always ready, and yet a read may have to wait for the disk
    queues_errors,  // a socket that reports POLLERR for as long as its error queue is not empty
};

/// An operation on a descriptor: what to do, how it stands, how it ended.
class io_operation : public linked_operation {
public:
    // What to do. Set before the start and kept until the end, so that it can be started again.
    io_kind kind = io_kind::nop;
    level io_level = level::normal;
    bool try_first = false;         // a call that does not wait comes before the entry
    bool poll_first = false;        // the kernel need not try before it waits
    bool by_poll = false;           // the kernel only waits, for `events`; a call does the rest
    bool plain_call = false;        // of reads and writes: the descriptor is non-blocking
    bool takes_late = false;        // a slot may cancel it: its call is made in its handler's turn
    bool in_turn = false;           // not before an earlier one of its direction has ended
    bool report_aborted = false;    // of `accept`: connections that ended before we took them
    bool may_be_immediate = false;  // its handler may run within the initiating function
    std::uint32_t events = 0;       // what it waits for, as poll(2) names it
    int descriptor = -1;
    int flags = 0;            // MSG_…, of `receive…` and `send…`; SOCK_… of `accept`
    void* address = nullptr;  // the buffer, the msghdr, the iovec, or the socket address
    std::size_t length = 0;   // of the buffer, the iovec or the socket address
    socklen_t* address_length = nullptr;  // of `accept`

    // How it stands. Engine only.
    enum class state : std::uint8_t {
        idle,
        behind,     // an earlier one of its direction
        waiting,    // for an entry
        in_kernel,  // it has one
        ready,      // in the run queue: its call comes before its handler
        calling,    // a thread makes that call, without the lock
        ended
    };
    state at = state::idle;
    bool cancelled = false;    // somebody asked for its end
    bool polled = false;       // a poll has said that it may be done
    bool watching = false;     // the poll is edge-triggered, and goes on until it is cancelled
    bool has_watched = false;  // and it has, so that the descriptor can be waited for
    bool settled = false;      // `result` is there, and only the poll has to end
    std::uint8_t pauses = 0;   // of `connect`: the entry is the n-th pause before another try
    bool due = false;  // there is something for it: its call follows when the poll has ended
    io_list* list = nullptr;
    io_operation** list_before = nullptr;
    io_operation* list_next = nullptr;
    operation** queue_before = nullptr;  // in an io_queue: what waits for an entry, or for its end
    io_operation* ahead = nullptr;       // in its turn: the one to end before it,
    io_operation* behind = nullptr;      // and the one that waits for its end

    std::uint32_t entry = 0;  // the position of its latest entry

    std::uint32_t place = 0;  // in the engine's table of entries

    // How it ended: what the kernel returned, a count or a negated errno.
    std::int32_t result = -ECANCELED;

    /// Whether it takes from, or else puts into, the stream of bytes that has an order.
    bool receives() const noexcept {
        return (kind == io_kind::receive || kind == io_kind::receive_msg || kind == io_kind::read ||
                kind == io_kind::read_vector) &&
               (flags & (MSG_OOB | MSG_ERRQUEUE)) == 0;
    }
    /// Whether it must not take anything before its handler's turn, when a call could find something.
    bool only_looks() const noexcept { return takes_late && receives(); }
    bool sends() const noexcept {
        return kind == io_kind::send || kind == io_kind::send_msg || kind == io_kind::write ||
               kind == io_kind::write_vector;
    }

    /// The result as Asio's code: ECANCELED is `operation_aborted`.
    boost::system::error_code error() const noexcept {
        return result < 0 ? boost::system::error_code{-result, boost::system::system_category()}
                          : boost::system::error_code{};
    }
    /// Frees what the result owns, for a handler that will not be called.
    void abandon() noexcept {}
    std::size_t count() const noexcept { return result < 0 ? 0 : static_cast<std::size_t>(result); }

protected:
    using linked_operation::linked_operation;
};

template <class Predicate>
io_operation* io_list::newest(Predicate p) const noexcept {
    io_operation* op = front_;
    while (op != nullptr && !p(*op)) {
        op = op->list_next;
    }
    return op;
}

inline void io_list::push(io_operation* op) noexcept {
    op->list = this;
    op->list_next = front_;
    op->list_before = &front_;
    if (front_ != nullptr) {
        front_->list_before = &op->list_next;
    }
    front_ = op;
}

inline void io_list::take(io_list& other) noexcept {
    front_ = other.front_;
    other.front_ = nullptr;
    if (front_ != nullptr) {
        front_->list_before = &front_;
    }
    for (io_operation* op = front_; op != nullptr; op = op->list_next) {
        op->list = this;
    }
    receives = other.receives;
}

inline void io_list::unlink(io_operation* op) noexcept {
    if (op->list_before == nullptr) {
        return;
    }
    *op->list_before = op->list_next;
    if (op->list_next != nullptr) {
        op->list_next->list_before = op->list_before;
    }
    op->list = nullptr;
    op->list_before = nullptr;
    op->list_next = nullptr;
}

/// A first-in, first-out list of operations that leave it from any place in constant time. Owns
/// nothing. An operation is in one such list at most.
class io_queue {
public:
    io_queue() = default;
    io_queue(const io_queue&) = delete;
    io_queue& operator=(const io_queue&) = delete;

    bool empty() const noexcept { return front_ == nullptr; }
    io_operation* front() const noexcept { return static_cast<io_operation*>(front_); }

    void push(io_operation* op) noexcept {
        op->next_ = nullptr;
        op->queue_before = back_;
        *back_ = op;
        back_ = &op->next_;
    }
    /// Precondition: `op` is in this list.
    void remove(io_operation* op) noexcept {
        *op->queue_before = op->next_;
        if (op->next_ != nullptr) {
            static_cast<io_operation*>(op->next_)->queue_before = op->queue_before;
        } else {
            back_ = op->queue_before;
        }
        op->queue_before = nullptr;
    }

private:
    operation* front_ = nullptr;
    operation** back_ = &front_;  // where the next operation is to be hung
};

}  // namespace rung::detail
