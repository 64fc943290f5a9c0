#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <mutex>
#include <rung/ipc.hpp>
#include <vector>

#include "ipc_link.hpp"

namespace rung::ipc {

namespace detail {

using boost::system::error_code;
using source = operation_source<bytes, progress>;

/// A client's side of a connection.
class client_core final : public link_user, public std::enable_shared_from_this<client_core> {
public:
    explicit client_core(std::shared_ptr<link> l)
        : link_(std::move(l)), memory_(link_->shared()), pending_(memory_.slots()) {
        for (std::size_t i = memory_.slots(); i-- > 0;) {
            free_.push_back(i);
        }
    }

    void listen(const boost::asio::any_io_executor& ex) { link_->listen(ex, shared_from_this()); }
    bool connected() const noexcept { return !closed_.load(std::memory_order_acquire); }
    void close() noexcept {
        abandon_all();
        link_->close();
    }

    operation<bytes, progress> start(std::span<const std::byte> arguments);
    void look() override {
        link_->take_news([this](std::size_t i) { look_at(i); });
    }
    void gone() noexcept override { abandon_all(); }

private:
    /// An operation in a slot. Guarded by mutex_, but for what `look_at` has taken out.
    struct pending {
        source producer;
        std::uint64_t number = 0;  // of the slot's use: a late request to cancel finds another
        bool active = false;
        bool running = false;
        progress last;
    };
    enum class outcome : std::uint8_t { going, ended, wrong };
    /// What a slot said.
    struct report {
        outcome what;
        std::uint32_t state;
        std::optional<bytes> result;
        error_code error;
    };

    void look_at(std::size_t i);
    report read(std::size_t i, pending& p);
    void finish(source producer, report r);
    void cancel(std::size_t i, std::uint64_t number) noexcept;
    void abandon_all() noexcept;

    const std::shared_ptr<link> link_;
    const memory& memory_;             // the link's
    std::atomic<bool> closed_{false};  // written under mutex_
    std::mutex mutex_;
    std::vector<pending> pending_;   // guarded by mutex_
    std::vector<std::size_t> free_;  // guarded by mutex_
};

operation<bytes, progress> client_core::start(std::span<const std::byte> arguments) {
    auto [producer, op] = make_operation<bytes, progress>();
    std::size_t i = 0;
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        if (closed_.load(std::memory_order_relaxed)) {
            return std::move(op);  // abandoned
        }
        if (arguments.size() > memory_.capacity()) {
            producer.set_failed(boost::asio::error::message_size);
            return std::move(op);
        }
        if (free_.empty()) {
            producer.set_failed(boost::asio::error::no_buffer_space);
            return std::move(op);
        }
        i = free_.back();
        number = pending_[i].number + 1;
        producer.on_cancel([self = shared_from_this(), i, number] { self->cancel(i, number); });
        free_.pop_back();  // now that nothing can fail any more
        pending_[i] = pending{std::move(producer), number, true, false, {}};
        memory_.write_arguments(i, arguments);
        slot& s = memory_.at(i);
        s.cancel.store(0, std::memory_order_relaxed);
        s.state.store(slot::submitted, std::memory_order_release);  // pairs with the server's look
    }
    link_->tell(i);
    return std::move(op);
}

void client_core::cancel(std::size_t i, std::uint64_t number) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (!pending_[i].active || pending_[i].number != number) {
            return;
        }
        memory_.at(i).cancel.store(1, std::memory_order_release);
    }
    link_->tell(i);
}

/// Passes on what the server says of a slot.
void client_core::look_at(std::size_t i) {
    pending taken;
    {
        const std::lock_guard lock(mutex_);
        if (!pending_[i].active || !pending_[i].producer.valid()) {
            return;
        }
        taken = std::move(pending_[i]);
        pending_[i].active = true;
        pending_[i].number = taken.number;
    }
    report r = read(i, taken);
    {
        const std::lock_guard lock(mutex_);
        pending& now = pending_[i];
        if (r.what == outcome::going) {
            if (!closed_.load(std::memory_order_relaxed)) {
                now.producer = std::move(taken.producer);
                now.running = taken.running;
                now.last = taken.last;
                return;
            }
        } else {
            now.active = false;
            free_.push_back(i);
        }
    }
    finish(std::move(taken.producer), std::move(r));
}

/// Reads a slot, and reports what there is of state and progress before an end.
client_core::report client_core::read(std::size_t i, pending& p) {
    report r{outcome::going, memory_.at(i).state.load(std::memory_order_acquire), {}, {}};
    switch (r.state) {
        case slot::submitted:
            return r;
        case slot::pending:
            break;
        case slot::running:
            if (!std::exchange(p.running, true)) {
                p.producer.set_running();
            }
            break;
        case slot::done:
            r.result = memory_.read_result(i);
            r.what = r.result ? outcome::ended : outcome::wrong;
            break;
        case slot::failed:
        case slot::cancelled:
            r.error = memory_.read_error(i);
            r.what = outcome::ended;
            break;
        default:
            r.what = outcome::wrong;
    }
    if (r.what != outcome::wrong) {
        if (const auto latest = memory_.read_progress(i); latest && *latest != p.last) {
            p.last = *latest;
            p.producer.set_progress(*latest);
        }
    }
    return r;
}

void client_core::finish(source producer, report r) {
    if (r.what == outcome::wrong) {
        close();  // so that nobody is told before the client is no longer connected
        producer.set_failed(rung::error::bad_peer);
    } else if (r.what == outcome::going) {
        return;  // the client was closed meanwhile, and the source goes
    } else if (r.state == slot::done) {
        producer.set_done(std::move(*r.result));
    } else if (r.state == slot::cancelled) {
        producer.set_cancelled(r.error);
    } else {
        producer.set_failed(r.error);
    }
}

void client_core::abandon_all() noexcept {
    std::vector<pending> abandoned;
    {
        const std::lock_guard lock(mutex_);
        closed_.store(true, std::memory_order_release);
        abandoned.swap(pending_);
        pending_.resize(abandoned.size());  // in memory that is there, or the process ends
        for (std::size_t i = 0; i < abandoned.size(); ++i) {
            pending_[i].active = abandoned[i].active && !abandoned[i].producer.valid();
            pending_[i].number = abandoned[i].number;
        }
    }
}

}  // namespace detail

namespace {

/// A connection to the server there, which was given a few seconds to take it and to answer.
std::pair<detail::unique_fd, detail::memory> connect(std::string_view path) {
    using namespace detail;
    constexpr timeval limit{5, 0};
    const auto endpoint = endpoint_of(path);
    unique_fd connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int fd = connection.get();
    int result = -1;
    if (fd != -1 && ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0) {
        do {
            result = ::connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size()));
        } while (result == -1 && errno == EINTR);
    }
    if (result == -1) {
        const bool full = errno == EAGAIN;  // and did not take anybody for so long
        throw boost::system::system_error(full ? ETIMEDOUT : errno,
                                          boost::system::system_category(),
                                          full ? "rung::ipc::client: the server does not answer"
                                               : "rung::ipc::client: no server listens there");
    }
    const unique_fd shared = receive_memory(fd);
    return {std::move(connection), memory::open(shared.get())};
}

}  // namespace

client::client(boost::asio::any_io_executor ex, std::string_view path) {
    using namespace detail;
    auto [connection, shared] = connect(path);
    core_ = std::make_shared<client_core>(
        std::make_shared<link>(std::move(shared), std::move(connection), link::side::client));
    core_->listen(ex);
}

client::~client() { core_->close(); }

operation<bytes, progress> client::start(std::span<const std::byte> arguments) {
    return core_->start(arguments);
}

bool client::connected() const noexcept { return core_->connected(); }

}  // namespace rung::ipc
