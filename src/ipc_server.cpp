#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <chrono>
#include <optional>
#include <rung/io_context.hpp>
#include <rung/ipc.hpp>
#include <unordered_set>
#include <vector>

#include "ipc_address.hpp"
#include "ipc_link.hpp"

namespace rung::ipc {

namespace detail {

using boost::system::error_code;
using boost::system::system_error;
using published = operation<bytes, progress>;

/// A server's side of a connection.
class connection final : public link_user, public std::enable_shared_from_this<connection> {
public:
    connection(std::shared_ptr<link> l, boost::asio::any_io_executor ex,
               std::weak_ptr<server_core> server)
        : link_(std::move(l)),
          memory_(link_->shared()),
          executor_(std::move(ex)),
          server_(std::move(server)),
          slots_(memory_.slots()),
          watches_(new boost::asio::cancellation_signal[memory_.slots()]) {}

    void listen() { link_->listen(executor_, shared_from_this()); }
    void close() noexcept { link_->close(); }
    void look() override {
        link_->take_news([this](std::size_t i) { look_at(i); });
    }
    void gone() noexcept override;

private:
    void look_at(std::size_t i);
    void begin(std::size_t i);
    void publish(std::size_t i, operation_state state, const progress& p);
    void end(std::size_t i, std::uint32_t state, const error_code& error);

    const std::shared_ptr<link> link_;
    const memory& memory_;  // the link's
    const boost::asio::any_io_executor executor_;
    // The executor only.
    std::weak_ptr<server_core> server_;  // which holds this, even where its context has gone
    std::vector<published> slots_;       // valid while it goes on
    std::unique_ptr<boost::asio::cancellation_signal[]> watches_;
    bool gone_ = false;
};

/// The acceptor and what it has accepted.
class server_core : public std::enable_shared_from_this<server_core> {
public:
    server_core(service s, const server_options& o) : serve(std::move(s)), options(o) {}
    virtual ~server_core() = default;
    virtual void listen() = 0;
    virtual void close() noexcept = 0;

    std::size_t clients() const noexcept { return clients_.load(std::memory_order_relaxed); }
    std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
    void forget(const std::shared_ptr<connection>& c) noexcept {
        connections_.erase(c);
        clients_.store(connections_.size(), std::memory_order_relaxed);
    }

    const service serve;
    const server_options options;

protected:
    /// Takes a client in, or closes its connection.
    void welcome(unique_fd client, const boost::asio::any_io_executor& ex);
    void count_refusal() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }
    void close_connections() noexcept {
        for (const auto& c : connections_) {
            c->close();
        }
    }

private:
    bool may_connect(int client) const noexcept;

    std::unordered_set<std::shared_ptr<connection>> connections_;  // the executor only
    std::atomic<std::size_t> clients_{0};
    std::atomic<std::uint64_t> refused_{0};
};

void connection::look_at(std::size_t i) {
    if (gone_) {
        return;
    }
    slot& s = memory_.at(i);
    if (slots_[i].valid()) {
        if (s.cancel.load(std::memory_order_acquire) != 0) {
            slots_[i].cancel();
        }
    } else if (s.state.load(std::memory_order_acquire) == slot::submitted) {
        begin(i);
    }
}

void connection::begin(std::size_t i) {
    std::optional<bytes> arguments = memory_.read_arguments(i);
    const std::shared_ptr<server_core> server = server_.lock();
    if (!arguments || server == nullptr) {
        close();  // no client of ours writes such a length
        return;
    }
    memory_.write_progress(i, {});
    try {
        slots_[i] = server->serve(std::move(*arguments));
        if (!slots_[i].valid()) {
            throw system_error(boost::asio::error::invalid_argument);
        }
    } catch (const system_error& e) {
        return end(i, slot::failed, e.code());
    } catch (...) {
        return end(i, slot::failed, rung::error::exception);
    }
    const auto mirror = [self = shared_from_this(), i](operation_state state, const progress& p) {
        self->publish(i, state, p);
    };
    published& op = slots_[i];
    if (memory_.at(i).cancel.load(std::memory_order_acquire) != 0) {
        op.cancel();
    }
    // First, so that no change comes between a look at it and the watching.
    op.watch(boost::asio::bind_cancellation_slot(watches_[i].slot(),
                                                 boost::asio::bind_executor(executor_, mirror)));
    const operation_state so_far = op.state();
    if (so_far == operation_state::running || op.progress() != progress{}) {
        // An end is told by the watching.
        mirror(is_final(so_far) ? operation_state::pending : so_far, op.progress());
    }
}

/// Writes what the operation has come to into its slot.
void connection::publish(std::size_t i, operation_state state, const progress& p) {
    if (gone_) {
        return;
    }
    memory_.write_progress(i, p);
    const published& op = slots_[i];
    switch (state) {
        case operation_state::pending:
        case operation_state::running:
            memory_.at(i).state.store(
                state == operation_state::pending ? slot::pending : slot::running,
                std::memory_order_release);
            link_->tell(i);
            break;
        case operation_state::done:
            if (op.value()->size() > memory_.capacity()) {
                end(i, slot::failed, boost::asio::error::message_size);
            } else {
                memory_.write_result(i, *op.value());
                end(i, slot::done, {});
            }
            break;
        case operation_state::failed:
            end(i, slot::failed, op.reason());
            break;
        case operation_state::cancelled:
            end(i, slot::cancelled, op.reason());
            break;
    }
}

void connection::end(std::size_t i, std::uint32_t state, const error_code& error) {
    memory_.write_error(i, error);
    slots_[i] = {};  // the client may use the slot again as soon as it sees the end
    memory_.at(i).state.store(state, std::memory_order_release);
    link_->tell(i);
}

void connection::gone() noexcept {
    gone_ = true;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (const published op = std::move(slots_[i]); op.valid()) {
            op.cancel();
            // The operation may outlive the executor, on which it would tell us of its end.
            watches_[i].emit(boost::asio::cancellation_type::terminal);
        }
    }
    if (const std::shared_ptr<server_core> server = std::exchange(server_, {}).lock()) {
        server->forget(shared_from_this());
    }
}

bool server_core::may_connect(int client) const noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    return clients() < options.max_clients &&
           (options.other_users ||
            (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
             (peer.uid == ::geteuid() || peer.uid == 0)));
}

void server_core::welcome(unique_fd client, const boost::asio::any_io_executor& ex) {
    if (!may_connect(client.get())) {
        return count_refusal();
    }
    auto [shared, fd] = memory::create(options.slots, options.capacity);
    if (!send_memory(client.get(), fd)) {
        return;  // it has gone again
    }
    const auto c = std::make_shared<connection>(
        std::make_shared<link>(std::move(shared), std::move(client), link::side::server), ex,
        weak_from_this());
    connections_.insert(c);
    clients_.store(connections_.size(), std::memory_order_relaxed);
    try {
        c->listen();
    } catch (...) {
        forget(c);
        throw;
    }
}

namespace {

/// A server that accepts by an acceptor of the executor's own kind.
template <class Executor>
class server_on final : public server_core {
    using protocol = boost::asio::local::stream_protocol;
    using timer = boost::asio::basic_waitable_timer<
        std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

public:
    server_on(const Executor& ex, std::string_view path, service s, const server_options& o)
        : server_core(std::move(s), o), acceptor_(ex), pause_(ex), address_(path) {
        unique_fd fd = address_.listen();
        acceptor_.assign(protocol(), fd.get());
        static_cast<void>(fd.release());
    }

    void listen() override {
        boost::asio::dispatch(acceptor_.get_executor(), [self = keep()] { self->accept(); });
    }
    void close() noexcept override {
        boost::asio::dispatch(acceptor_.get_executor(), [self = keep()] {
            self->closed_ = true;
            self->address_.remove();
            error_code ignored;
            self->acceptor_.close(ignored);
            self->pause_.cancel();
            self->close_connections();
        });
    }

private:
    std::shared_ptr<server_on> keep() {
        return std::static_pointer_cast<server_on>(shared_from_this());
    }
    void accept() {
        acceptor_.async_accept([self = keep()](const error_code& ec, auto client) {
            if (self->closed_ || ec == boost::asio::error::operation_aborted) {
                return;
            }
            if (ec) {
                self->count_refusal();
                return self->accept_later();
            }
            try {
                self->welcome(unique_fd(client.release()), self->acceptor_.get_executor());
            } catch (const std::exception&) {
                self->count_refusal();  // no memory or descriptors for one client more
            }
            self->accept();
        });
    }
    /// Where descriptors have run out, the connection is still there, and the next try would fail
    /// at once, too.
    void accept_later() {
        constexpr std::chrono::milliseconds pause{100};
        pause_.expires_after(pause);
        pause_.async_wait([self = keep()](const error_code&) {
            if (!self->closed_) {
                self->accept();
            }
        });
    }

    boost::asio::basic_socket_acceptor<protocol, Executor> acceptor_;
    timer pause_;
    address address_;  // goes before the socket
    bool closed_ = false;
};

}  // namespace

}  // namespace detail

server::server(boost::asio::any_io_executor ex, std::string_view path, service s,
               const server_options& o) {
    if (path.empty() || o.slots == 0 || o.slots > detail::memory::most_slots || o.capacity == 0 ||
        o.capacity > detail::memory::most_bytes) {
        throw boost::system::system_error(
            error::bad_option, "rung::ipc::server: a path, 1 to 1024 slots and 1 to 2^24 bytes");
    }
    if (const executor* const native = detail::native_executor(ex)) {
        core_ = std::make_shared<detail::server_on<executor>>(*native, path, std::move(s), o);
    } else {
        core_ = std::make_shared<detail::server_on<boost::asio::any_io_executor>>(ex, path,
                                                                                  std::move(s), o);
    }
    core_->listen();
}

server::~server() { core_->close(); }

std::size_t server::clients() const noexcept { return core_->clients(); }

std::uint64_t server::refused() const noexcept { return core_->refused(); }

}  // namespace rung::ipc
