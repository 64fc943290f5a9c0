#include "ipc_memory.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstring>
#include <rung/error.hpp>

namespace rung::ipc::detail {

namespace {

using boost::system::error_code;
using boost::system::system_error;

[[noreturn]] void throw_errno(const char* what) {
    throw system_error(errno, boost::system::system_category(), what);
}

constexpr std::size_t rounded(std::size_t n, std::size_t to) noexcept {
    return (n + to - 1) / to * to;
}
constexpr std::size_t line = 64;
constexpr std::size_t page = 4096;

std::size_t size_of(std::size_t slots, std::size_t capacity) noexcept {
    return sizeof(memory_header) + slots * (sizeof(slot) + 2 * rounded(capacity, line));
}

/// In whole pages: ThreadSanitizer takes the rest of one for mapped when it no longer is.
memory_header* map(int fd, std::size_t size) {
    void* const p = ::mmap(nullptr, rounded(size, page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        throw_errno("rung::ipc: the shared memory cannot be mapped");
    }
    return static_cast<memory_header*>(p);
}

/// The categories that mean the same in every process, by their places here.
const boost::system::error_category* category(std::uint32_t id) noexcept {
    switch (id) {
        case 0:
            return &boost::system::system_category();
        case 1:
            return &boost::system::generic_category();
        case 2:
            return &rung::error_category();
        case 3:
            return &boost::asio::error::get_misc_category();
        case 4:
            return &boost::asio::error::get_netdb_category();
        case 5:
            return &boost::asio::error::get_addrinfo_category();
        default:
            return nullptr;
    }
}

std::optional<bytes> copy(const std::byte* from, const std::atomic<std::uint32_t>& length,
                          std::size_t capacity) {
    const std::size_t n = length.load(std::memory_order_relaxed);
    if (n > capacity) {
        return std::nullopt;
    }
    return bytes(from, from + n);
}

}  // namespace

unique_fd::~unique_fd() {
    if (fd_ != -1) {
        ::close(fd_);
    }
}

std::pair<memory, unique_fd> memory::create(std::size_t slots, std::size_t capacity) {
    capacity = rounded(capacity, line);
    unique_fd fd(::memfd_create("rung-ipc", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const auto size = static_cast<off_t>(size_of(slots, capacity));
    if (fd.get() == -1 || ::ftruncate(fd.get(), size) != 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        throw_errno("rung::ipc: no shared memory; raise RLIMIT_NOFILE (ulimit -n)");
    }
    memory_header* const h = map(fd.get(), size_of(slots, capacity));
    h->magic = memory_header::expected_magic;
    h->slots = static_cast<std::uint32_t>(slots);
    h->capacity = static_cast<std::uint32_t>(capacity);
    return {memory(h, slots, capacity), std::move(fd)};
}

memory memory::open(int fd) {
    struct stat status {};
    struct statfs where {};
    const int seals = ::fcntl(fd, F_GET_SEALS);
    memory_header start{};
    // Of huge pages there may be none left when one is touched, which raises SIGBUS.
    if (::fstat(fd, &status) == 0 && ::fstatfs(fd, &where) == 0 && where.f_type == TMPFS_MAGIC &&
        seals != -1 && (seals & F_SEAL_SHRINK) != 0 &&
        ::pread(fd, &start, sizeof start, 0) == sizeof start &&
        start.magic == memory_header::expected_magic && start.slots > 0 &&
        start.slots <= most_slots && start.capacity > 0 && start.capacity <= most_bytes &&
        start.capacity % 64 == 0 &&
        static_cast<std::uint64_t>(status.st_size) == size_of(start.slots, start.capacity)) {
        return {map(fd, size_of(start.slots, start.capacity)), start.slots, start.capacity};
    }
    throw system_error(rung::error::bad_peer,
                       "rung::ipc: the server's memory is not what it should be");
}

memory::~memory() {
    if (header_ != nullptr) {
        ::munmap(header_, rounded(size_of(slots_, capacity_), page));
    }
}

slot& memory::at(std::size_t i) const noexcept {
    auto* const first = reinterpret_cast<std::byte*>(header_) + sizeof(memory_header);
    return reinterpret_cast<slot*>(first)[i];
}

std::byte* memory::arguments(std::size_t i) const noexcept {
    return reinterpret_cast<std::byte*>(&at(slots_)) + i * 2 * capacity_;
}

void memory::write_arguments(std::size_t i, std::span<const std::byte> from) const noexcept {
    if (!from.empty()) {
        std::memcpy(arguments(i), from.data(), from.size());
    }
    at(i).argument_length.store(static_cast<std::uint32_t>(from.size()), std::memory_order_relaxed);
}

void memory::write_result(std::size_t i, std::span<const std::byte> from) const noexcept {
    if (!from.empty()) {
        std::memcpy(result(i), from.data(), from.size());
    }
    at(i).result_length.store(static_cast<std::uint32_t>(from.size()), std::memory_order_relaxed);
}

std::optional<bytes> memory::read_arguments(std::size_t i) const {
    return copy(arguments(i), at(i).argument_length, capacity_);
}

std::optional<bytes> memory::read_result(std::size_t i) const {
    return copy(result(i), at(i).result_length, capacity_);
}

void memory::write_progress(std::size_t i, const progress& p) const noexcept {
    slot& s = at(i);
    const std::uint64_t number = s.progress_number.load(std::memory_order_relaxed);
    s.progress_number.store(number | 1U, std::memory_order_relaxed);
    // Whoever reads one of these has seen, by acquiring it, that the number is odd or newer.
    s.progress_done.store(p.done, std::memory_order_release);
    s.progress_total.store(p.total, std::memory_order_release);
    s.progress_number.store((number | 1U) + 1, std::memory_order_release);
}

std::optional<progress> memory::read_progress(std::size_t i) const noexcept {
    const slot& s = at(i);
    constexpr int tries = 16;
    for (int n = 0; n < tries; ++n) {
        const std::uint64_t before = s.progress_number.load(std::memory_order_acquire);
        const progress p{s.progress_done.load(std::memory_order_acquire),
                         s.progress_total.load(std::memory_order_acquire)};
        if (before % 2 == 0 && s.progress_number.load(std::memory_order_relaxed) == before) {
            return p;
        }
    }
    return std::nullopt;
}

void memory::write_error(std::size_t i, const error_code& e) const noexcept {
    slot& s = at(i);
    std::uint32_t id = 0;
    while (category(id) != nullptr && *category(id) != e.category()) {
        ++id;
    }
    const bool known = category(id) != nullptr;
    s.error_category.store(known ? id : 2, std::memory_order_relaxed);
    s.error_value.store(known ? e.value() : static_cast<int>(rung::error::exception),
                        std::memory_order_relaxed);
}

error_code memory::read_error(std::size_t i) const noexcept {
    const auto* const c = category(at(i).error_category.load(std::memory_order_relaxed));
    const int value = at(i).error_value.load(std::memory_order_relaxed);
    if (c == nullptr || value == 0) {
        return rung::error::bad_peer;
    }
    return {value, *c};
}

}  // namespace rung::ipc::detail
