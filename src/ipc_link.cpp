#include "ipc_link.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <cerrno>
#include <cstring>
#include <rung/rung.hpp>
#include <string>

#include "futex.hpp"
#include "futex_operation.hpp"
#include "ring_backend.hpp"

namespace rung::ipc::detail {

namespace {

using boost::system::error_code;
using boost::system::system_error;
namespace engine = rung::detail::engine;
using rung::detail::executor_access;

/// What waits for the peer on an executor, with objects of the executor's own kind: native ones on
/// a `rung::executor`. Its handlers alone keep it, so that it goes with its context.
template <class Executor>
class listener final : public std::enable_shared_from_this<listener<Executor>> {
    using protocol = boost::asio::local::stream_protocol;

public:
    listener(const Executor& ex, std::shared_ptr<link> l, std::weak_ptr<link_user> user)
        : link_(std::move(l)),
          user_(std::move(user)),
          socket_(ex, protocol(), link_->duplicate().release()) {}
    ~listener() {
        if (!ended_) {  // the context goes first
            tell_end();
        }
        link_->close();
    }
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

    void begin() {
        boost::asio::dispatch(socket_.get_executor(), [self = this->shared_from_this()] {
            self->look();
            self->await_socket();
            self->await_futex();
        });
    }

private:
    void look() {
        if (const auto user = user_.lock()) {
            user->look();
        }
    }
    void await_socket() {
        socket_.async_read_some(
            boost::asio::buffer(bytes_),
            [self = this->shared_from_this()](const error_code& ec, std::size_t) {
                if (ec) {
                    return self->end();
                }
                self->look();
                self->await_socket();
            });
    }
    void await_futex() {
        if constexpr (std::is_same_v<Executor, executor>) {
            std::atomic<std::uint32_t>* const word = link_->futex();
            if (word == nullptr || ended_) {
                return;
            }
            rung::detail::async_futex_wait(socket_.get_executor(), *word, direction::on_futex,
                                           futex_waits_,
                                           [self = this->shared_from_this()](const error_code& ec) {
                                               if (ec == boost::asio::error::operation_aborted) {
                                                   return;
                                               }
                                               // `would_block`: the word had changed before the wait began.
                                               if (ec && ec != boost::asio::error::would_block) {
                                                   self->link_->sleep_on_socket();
                                               }
                                               self->look();
                                               self->await_futex();
                                           });
        }
    }
    void end() {
        ended_ = true;
        if constexpr (std::is_same_v<Executor, executor>) {
            engine::cancel_all(executor_access::engine_of(socket_.get_executor()), futex_waits_);
        }
        tell_end();
    }
    void tell_end() noexcept {
        if (const auto user = user_.lock()) {
            user->gone();
        }
    }

    const std::shared_ptr<link> link_;
    const std::weak_ptr<link_user> user_;
    // The executor only.
    boost::asio::basic_stream_socket<protocol, Executor> socket_;
    rung::detail::io_list futex_waits_;
    std::array<char, 64> bytes_;
    bool ended_ = false;
};

/// A message of one byte with room for one descriptor.
struct message {
    message() noexcept {
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = CMSG_LEN(sizeof(int));  // what is behind it would take a second one
    }
    char byte = 'r';
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
};

}  // namespace

link::link(memory&& m, unique_fd socket, side s) noexcept
    : memory_(std::move(m)),
      socket_(std::move(socket)),
      in_(s == side::server ? &memory_.header().to_server : &memory_.header().to_client),
      out_(s == side::server ? &memory_.header().to_client : &memory_.header().to_server) {}

void link::listen(const boost::asio::any_io_executor& ex, const std::shared_ptr<link_user>& user) {
    if (const executor* const native = native_executor(ex)) {
        const bool ring = engine::context_of(executor_access::engine_of(*native)).backend() ==
                          rung::backend::io_uring;
        if (ring && rung::detail::waits_for_futexes()) {
            way_ = direction::on_futex;
        }
        std::make_shared<listener<executor>>(*native, shared_from_this(), user)->begin();
    } else {
        std::make_shared<listener<boost::asio::any_io_executor>>(ex, shared_from_this(), user)
            ->begin();
    }
}

void link::close() const noexcept { ::shutdown(socket_.get(), SHUT_RDWR); }

void link::tell(std::size_t i) const noexcept {
    switch (post_news(*out_, i)) {
        case direction::awake:
            break;
        case direction::on_futex:
            rung::detail::futex_wake(&out_->asleep, 1, rung::detail::futex_scope::shared);
            break;
        default:
            // Where there is no room the peer has bytes to read, and will be woken anyway.
            static_cast<void>(::send(socket_.get(), "", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
}

unique_fd link::duplicate() const {
    unique_fd fd(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
    if (fd.get() == -1) {
        throw system_error(errno, boost::system::system_category(),
                           "rung::ipc: no descriptor left; raise RLIMIT_NOFILE (ulimit -n)");
    }
    return fd;
}

boost::asio::local::stream_protocol::endpoint endpoint_of(std::string_view path) {
    std::string name(path);
    if (!name.empty() && name.front() == '@') {
        name.front() = '\0';
    }
    return {name};
}

bool send_memory(int connection, const unique_fd& memory) noexcept {
    message m;
    cmsghdr* const c = CMSG_FIRSTHDR(&m.header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = memory.get();
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return ::sendmsg(connection, &m.header, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

unique_fd receive_memory(int connection) {
    message m;
    ssize_t n = 0;
    do {
        n = ::recvmsg(connection, &m.header, MSG_CMSG_CLOEXEC);
    } while (n == -1 && errno == EINTR);
    if (n == -1) {
        throw system_error(errno == EAGAIN ? ETIMEDOUT : errno, boost::system::system_category(),
                           "rung::ipc::client: the server does not answer");
    }
    if (n == 0) {
        throw system_error(boost::asio::error::connection_refused,
                           "rung::ipc::client: the server has no room, or refuses this user");
    }
    const cmsghdr* const c = CMSG_FIRSTHDR(&m.header);
    unique_fd fd;
    if (c != nullptr && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int))) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(c), sizeof number);
        fd = unique_fd(number);
    }
    if (fd.get() == -1 || (m.header.msg_flags & MSG_CTRUNC) != 0) {
        throw system_error(rung::error::bad_peer, "rung::ipc::client: this is no server of ours");
    }
    return fd;
}

}  // namespace rung::ipc::detail
