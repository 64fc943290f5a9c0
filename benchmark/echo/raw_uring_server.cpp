// The bare ring: one recv and one send in flight in turn for each connection, one submit-and-wait a
// pass. Without `POLL_FIRST`, which would spare the recv its first and vain attempt, but was
// measured to cost 3 % more processor time at one connection, and the same at 32.

#include "server.hpp"

#include "../support/failure.hpp"
#include "../support/loopback.hpp"

#include <liburing.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdint>

namespace bench {

namespace {

constexpr unsigned ring_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
constexpr unsigned ring_entries = 4096;

struct connection {
    int socket;
    bool sending = false;
    std::size_t begin = 0;  // [begin, end) is still to be sent
    std::size_t end = 0;
    std::array<char, echo_buffer_size> data;
};

class uring_server {
public:
    explicit uring_server(int listener) : listener_(listener) {
        const int error = ::io_uring_queue_init(ring_entries, &ring_, ring_flags);
        if (error < 0) {
            errno = -error;
            fail_errno("cannot set up the ring");
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
                complete(static_cast<connection*>(::io_uring_cqe_get_data(cqe)), cqe->res);
                ++reaped;
            }
            ::io_uring_cq_advance(&ring_, reaped);
        }
    }

private:
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
        ::io_uring_sqe_set_data(sqe, nullptr);
    }

    void receive(connection* c) {
        c->sending = false;
        io_uring_sqe* sqe = entry();
        ::io_uring_prep_recv(sqe, c->socket, c->data.data(), c->data.size(), 0);
        ::io_uring_sqe_set_data(sqe, c);
    }

    void send(connection* c) {
        c->sending = true;
        io_uring_sqe* sqe = entry();
        ::io_uring_prep_send(sqe, c->socket, c->data.data() + c->begin, c->end - c->begin,
                             MSG_NOSIGNAL);
        ::io_uring_sqe_set_data(sqe, c);
    }

    void complete(connection* c, int result) {
        if (c == nullptr) {
            accepted(result);
        } else if (result <= 0) {
            ::close(c->socket);
            delete c;
        } else if (c->sending) {
            c->begin += static_cast<std::size_t>(result);
            if (c->begin == c->end) {
                receive(c);
            } else {
                send(c);
            }
        } else {
            c->begin = 0;
            c->end = static_cast<std::size_t>(result);
            send(c);
        }
    }

    void accepted(int socket) {
        if (socket >= 0) {
            set_no_delay(socket);
            receive(new connection{socket, false, 0, 0, {}});
        } else if (socket != -ECONNABORTED && socket != -EINTR) {
            errno = -socket;
            fail_errno("accept");
        }
        accept();
    }

    io_uring ring_{};
    int listener_;
};

}  // namespace

void serve_raw_uring(control_link& link, const role_arguments& args) {
    need_tcp(args);
    require_io_uring(ring_flags);
    const listener l = listen_on_loopback(false);
    uring_server server(l.descriptor);
    link.ready({l.port});
    server.run();
}

}  // namespace bench
