#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/io_operation.hpp>
#include <type_traits>

/// Buffer sequences in the forms that entries take: at most 64 buffers, as in Asio's own operations.
namespace rung::detail {

/// The most that Linux moves in one call, see read(2); an entry has 32 bits for a length.
inline constexpr std::size_t most_transferred = 0x7ffff000;

/// Buffers of a socket in the kernel's form: one in the entry itself, several behind a msghdr.
///
/// It stays where it was made, in the operation that points into it.
template <class Buffer, class Buffers>
class transfer_buffers {
    using adapter = buffer_sequence_adapter<Buffer, Buffers>;
    static constexpr bool single = adapter::is_single_buffer;
    struct nothing {
        explicit nothing(const Buffers&) noexcept {}
    };
    struct vector {
        adapter sequence;
        msghdr header{};
        explicit vector(const Buffers& buffers) noexcept : sequence(buffers) {}
    };

public:
    /// Describes `buffers`, of which only the bytes must live on, to `op`.
    transfer_buffers(io_operation& op, io_kind one, io_kind many, const Buffers& buffers) noexcept
        : vector_(buffers) {
        if constexpr (single) {
            const Buffer b = adapter::first(buffers);
            op.kind = one;
            op.address = const_cast<void*>(static_cast<const void*>(b.data()));
            op.length = std::min(b.size(), most_transferred);
            empty_ = b.size() == 0;
        } else {
            vector_.header.msg_iov = vector_.sequence.buffers();
            vector_.header.msg_iovlen = vector_.sequence.count();
            op.kind = many;
            op.address = &vector_.header;
            empty_ = vector_.sequence.all_empty();
        }
    }
    transfer_buffers(const transfer_buffers&) = delete;
    transfer_buffers& operator=(const transfer_buffers&) = delete;

    bool empty() const noexcept { return empty_; }

private:
    [[no_unique_address]] std::conditional_t<single, nothing, vector> vector_;
    bool empty_ = false;
};

/// Buffers behind a msghdr, which may carry an address and flags, too.
template <class Buffer, class Buffers>
class message_buffers {
public:
    message_buffers(io_operation& op, io_kind kind, const Buffers& buffers) noexcept
        : sequence_(buffers) {
        header_.msg_iov = sequence_.buffers();
        header_.msg_iovlen = sequence_.count();
        op.kind = kind;
        op.address = &header_;
    }
    message_buffers(const message_buffers&) = delete;
    message_buffers& operator=(const message_buffers&) = delete;

    msghdr& header() noexcept { return header_; }

private:
    buffer_sequence_adapter<Buffer, Buffers> sequence_;
    msghdr header_{};
};

/// Buffers of a descriptor that is no socket: one in the entry itself, several as a vector.
template <class Buffer, class Buffers>
class vector_buffers {
    using adapter = buffer_sequence_adapter<Buffer, Buffers>;

public:
    vector_buffers(io_operation& op, io_kind one, io_kind many, const Buffers& buffers) noexcept
        : sequence_(buffers) {
        if constexpr (adapter::is_single_buffer) {
            const iovec& only = *sequence_.buffers();
            op.kind = one;
            op.address = only.iov_base;
            op.length = std::min(only.iov_len, most_transferred);
        } else {
            op.kind = many;
            op.address = sequence_.buffers();
            op.length = sequence_.count();
        }
    }
    vector_buffers(const vector_buffers&) = delete;
    vector_buffers& operator=(const vector_buffers&) = delete;

    bool empty() const noexcept { return sequence_.all_empty(); }

private:
    adapter sequence_;
};

}  // namespace rung::detail
