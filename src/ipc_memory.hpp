#pragma once

#include <atomic>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <rung/ipc.hpp>
#include <rung/operation_state.hpp>
#include <utility>

/// What server and client share, and how each reads what the other wrote.
///
/// Everything here may have been written by a hostile peer, at any time. So lengths are read once
/// and checked, bytes are copied out before they are looked at, an index is never read from the
/// memory (which slots have news is told by bits, of which there are as many as slots), and no loop
/// depends on what the peer does.
namespace rung::ipc::detail {

/// A descriptor that is closed at the end.
class unique_fd {
public:
    unique_fd() = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~unique_fd();

    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

/// The slot of one operation.
struct alignas(64) slot {
    /// `pending`: the server has it, and may have reported progress.
    enum : std::uint32_t { idle, submitted, pending, running, done, failed, cancelled };

    std::atomic<std::uint32_t>
        state;  // `submitted` is the client's to write, the others the server's
    std::atomic<std::uint32_t> cancel;  // the client's
    std::atomic<std::uint32_t> argument_length;
    std::atomic<std::uint32_t> result_length;
    std::atomic<std::uint32_t> error_category;
    std::atomic<std::int32_t> error_value;
    // Progress: the number is odd while the server writes.
    alignas(64) std::atomic<std::uint64_t> progress_number;
    std::atomic<std::uint64_t> progress_done;
    std::atomic<std::uint64_t> progress_total;
};

/// One way of the traffic: which slots have news, and whether and how the reader sleeps.
struct alignas(64) direction {
    static constexpr std::size_t words = 16;  // 1,024 slots
    enum : std::uint32_t { awake, on_futex, on_socket };

    std::atomic<std::uint32_t> asleep;  // the futex, too
    alignas(64) std::atomic<std::uint64_t> news[words];
};

struct memory_header {
    static constexpr std::uint64_t expected_magic = 0x3263'7069'676e'7572;  // "rungipc2"

    std::uint64_t magic;
    std::uint32_t slots;
    std::uint32_t capacity;
    direction to_server;
    direction to_client;
};

/// The shared memory, mapped.
class memory {
public:
    static constexpr std::size_t most_slots = direction::words * 64;
    static constexpr std::size_t most_bytes = std::size_t{16} << 20;

    /// Makes the memory, sealed so that no peer can shrink it under us. Throws `system_error`.
    static std::pair<memory, unique_fd> create(std::size_t slots, std::size_t capacity);
    /// Maps what a server sent. Throws `system_error` with `error::bad_peer` if it cannot be right.
    static memory open(int fd);

    memory(memory&& other) noexcept
        : header_(std::exchange(other.header_, nullptr)),
          slots_(other.slots_),
          capacity_(other.capacity_) {}
    memory& operator=(memory&&) = delete;
    ~memory();

    std::size_t slots() const noexcept { return slots_; }
    std::size_t capacity() const noexcept { return capacity_; }
    memory_header& header() const noexcept { return *header_; }
    /// Precondition: `i` is ours and below `slots()`.
    slot& at(std::size_t i) const noexcept;

    // Bytes of a slot. A length beyond the capacity gives none.
    void write_arguments(std::size_t i, std::span<const std::byte> from) const noexcept;
    void write_result(std::size_t i, std::span<const std::byte> from) const noexcept;
    std::optional<bytes> read_arguments(std::size_t i) const;
    std::optional<bytes> read_result(std::size_t i) const;

    void write_progress(std::size_t i, const progress& p) const noexcept;
    /// The latest progress; none if the peer is writing all the time.
    std::optional<progress> read_progress(std::size_t i) const noexcept;

    void write_error(std::size_t i, const boost::system::error_code& e) const noexcept;
    boost::system::error_code read_error(std::size_t i) const noexcept;

private:
    memory(memory_header* h, std::size_t slots, std::size_t capacity) noexcept
        : header_(h), slots_(slots), capacity_(capacity) {}
    std::byte* arguments(std::size_t i) const noexcept;
    std::byte* result(std::size_t i) const noexcept { return arguments(i) + capacity_; }

    memory_header* header_;
    // Copies of our own: the header's may change.
    std::size_t slots_;
    std::size_t capacity_;
};

/// Tells the reader of a direction that slot `i` has news. Gives how it sleeps and must be woken.
inline std::uint32_t post_news(direction& d, std::size_t i) noexcept {
    d.news[i / 64].fetch_or(std::uint64_t{1} << (i % 64), std::memory_order_seq_cst);
    return d.asleep.load(std::memory_order_seq_cst) == direction::awake
               ? std::uint32_t{direction::awake}
               : d.asleep.exchange(direction::awake, std::memory_order_seq_cst);
}

/// Takes the news of up to `slots` slots and calls `f(i)` for each.
template <class F>
void take_news(direction& d, std::size_t slots, F& f) {
    for (std::size_t word = 0; word * 64 < slots; ++word) {
        if (d.news[word].load(std::memory_order_seq_cst) == 0) {
            continue;
        }
        std::uint64_t bits = d.news[word].exchange(0, std::memory_order_acq_rel);
        for (std::size_t i = word * 64; bits != 0 && i < slots; ++i, bits >>= 1U) {
            if ((bits & 1U) != 0) {
                f(i);
            }
        }
    }
}

/// Reads all news, with the reader marked as asleep in the way given when it returns: whoever posts
/// then wakes it.
template <class F>
void take_all_news(direction& d, std::size_t slots, std::uint32_t way, F f) {
    take_news(d, slots, f);
    d.asleep.store(way, std::memory_order_seq_cst);  // pairs with post_news
    take_news(d, slots, f);
}

}  // namespace rung::ipc::detail
