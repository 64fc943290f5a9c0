// The bare ring with everything it offers: one multishot receive a connection that stays armed, and
// buffers which the kernel picks from a ring that all connections share. What was received is sent
// from the buffer it came in, which then returns to the ring.

#include "server.hpp"

#include "../support/failure.hpp"
#include "../support/loopback.hpp"

#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <deque>

namespace bench {

namespace {

constexpr unsigned ring_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
constexpr unsigned ring_entries = 4096;
constexpr unsigned buffer_count = 2048;  // a power of two, as the kernel wants
constexpr std::size_t buffer_size = 4096;
constexpr unsigned short buffer_group = 0;

struct chunk {
    unsigned short buffer;
    unsigned begin;
    unsigned end;
};

struct connection {
    int socket;
    bool receiving = false;
    bool sending = false;
    bool ended = false;
    std::deque<chunk> to_send;  // the first is in flight if `sending`
};

class multishot_server {
public:
    explicit multishot_server(int listener) : listener_(listener) {
        int error = ::io_uring_queue_init(ring_entries, &ring_, ring_flags);
        const std::size_t ring_size = buffer_count * sizeof(io_uring_buf);
        const std::size_t size = ring_size + buffer_count * buffer_size;
        void* memory =
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
        if (error == 0 && memory == MAP_FAILED) {
            error = -errno;
        }
        if (error == 0) {
            buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
            buffers_ = static_cast<char*>(memory) + ring_size;
            io_uring_buf_reg registration{};
            registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
            registration.ring_entries = buffer_count;
            registration.bgid = buffer_group;
            error = ::io_uring_register_buf_ring(&ring_, &registration, 0);
        }
        if (error < 0) {
            errno = -error;
            fail_errno("cannot set up the ring and its buffers");
        }
        ::io_uring_buf_ring_init(buffer_ring_);
        for (unsigned i = 0; i < buffer_count; ++i) {
            give_back(static_cast<unsigned short>(i));
        }
        accept();
    }

    [[noreturn]] void run() {
        for (;;) {
            ::io_uring_submit_and_wait(&ring_, 1);
            io_uring_cqe* cqe = nullptr;
            unsigned head = 0;
            unsigned reaped = 0;
            io_uring_for_each_cqe(&ring_, head, cqe) {
                complete(*cqe);
                ++reaped;
            }
            ::io_uring_cq_advance(&ring_, reaped);
        }
    }

private:
    static constexpr std::uint64_t send_tag = 1;  // in the lowest bit of a connection's address

    char* address_of(unsigned short buffer) const { return buffers_ + buffer * buffer_size; }

    void give_back(unsigned short buffer) {
        ::io_uring_buf_ring_add(buffer_ring_, address_of(buffer), buffer_size, buffer,
                                ::io_uring_buf_ring_mask(buffer_count), 0);
        ::io_uring_buf_ring_advance(buffer_ring_, 1);
    }

    io_uring_sqe* entry() {
        io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
        while (sqe == nullptr) {
            ::io_uring_submit(&ring_);
            sqe = ::io_uring_get_sqe(&ring_);
        }
        return sqe;
    }

    void accept() {
        io_uring_sqe* sqe = entry();
        ::io_uring_prep_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
        ::io_uring_sqe_set_data64(sqe, 0);
    }

    void receive(connection* c) {
        c->receiving = true;
        io_uring_sqe* sqe = entry();
        ::io_uring_prep_recv_multishot(sqe, c->socket, nullptr, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = buffer_group;
        ::io_uring_sqe_set_data(sqe, c);
    }

    void send(connection* c) {
        c->sending = true;
        const chunk& next = c->to_send.front();
        io_uring_sqe* sqe = entry();
        ::io_uring_prep_send(sqe, c->socket, address_of(next.buffer) + next.begin,
                             next.end - next.begin, MSG_NOSIGNAL);
        ::io_uring_sqe_set_data64(sqe, reinterpret_cast<std::uint64_t>(c) | send_tag);
    }

    void complete(const io_uring_cqe& cqe) {
        auto* c = reinterpret_cast<connection*>(cqe.user_data & ~send_tag);
        if (c == nullptr) {
            accepted(cqe.res);
        } else if ((cqe.user_data & send_tag) != 0) {
            sent(c, cqe.res);
        } else {
            received(c, cqe);
        }
    }

    void accepted(int socket) {
        if (socket >= 0) {
            set_no_delay(socket);
            receive(new connection{socket, false, false, false, {}});
        } else if (socket != -ECONNABORTED && socket != -EINTR) {
            errno = -socket;
            fail_errno("accept");
        }
        accept();
    }

    void received(connection* c, const io_uring_cqe& cqe) {
        c->receiving = (cqe.flags & IORING_CQE_F_MORE) != 0;
        if (cqe.res > 0) {
            const auto buffer = static_cast<unsigned short>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
            c->to_send.push_back({buffer, 0, static_cast<unsigned>(cqe.res)});
        } else if (cqe.res != -ENOBUFS) {
            c->ended = true;
        }
        if (!c->sending && !c->to_send.empty() && !c->ended) {
            send(c);
        }
        if (!c->receiving && !c->ended) {
            receive(c);
        }
        close_if_idle(c);
    }

    void sent(connection* c, int result) {
        c->sending = false;
        if (result <= 0) {
            c->ended = true;
            ::shutdown(c->socket, SHUT_RDWR);  // ends the receive
        } else {
            chunk& first = c->to_send.front();
            first.begin += static_cast<unsigned>(result);
            if (first.begin == first.end) {
                give_back(first.buffer);
                c->to_send.pop_front();
            }
            if (!c->to_send.empty() && !c->ended) {
                send(c);
            }
        }
        close_if_idle(c);
    }

    void close_if_idle(connection* c) {
        if (!c->ended || c->receiving || c->sending) {
            return;
        }
        for (const chunk& unsent : c->to_send) {
            give_back(unsent.buffer);
        }
        ::close(c->socket);
        delete c;
    }

    io_uring ring_{};
    io_uring_buf_ring* buffer_ring_ = nullptr;
    char* buffers_ = nullptr;
    int listener_;
};

}  // namespace

void serve_raw_uring_multishot(control_link& link, const role_arguments& args) {
    need_tcp(args);
    require_io_uring(ring_flags);
    const listener l = listen_on_loopback(false);
    multishot_server server(l.descriptor);
    link.ready({l.port});
    server.run();
}

}  // namespace bench
