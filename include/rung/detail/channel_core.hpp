#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cstddef>
#include <memory>
#include <new>
#include <rung/detail/waiting_handler.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

template <class T>
class channel_core;

/// A value that waits to be received.
template <class T>
class sending : public waiter {
public:
    std::tuple<error_code> take_result() const noexcept { return {error}; }

    T value;

protected:
    sending(finish_type f, T&& v) noexcept : waiter(f), value(std::move(v)) {}
};

/// Who waits for a value.
template <class T>
class receiving : public waiter {
public:
    using value_type = T;

    std::tuple<error_code, T> take_result() { return {error, std::move(value)}; }
    static void give_back(const place_name& from, T& value) {
        channel_core<T>::give_back(from, value);
    }

    T value{};

protected:
    explicit receiving(finish_type f) : waiter(f) {}
};

/// A channel without its executor: the values, and those who wait on one side or the other.
template <class T>
class channel_core : public waiting_place {
public:
    enum class outcome : bool { done, not_now };

    explicit channel_core(std::size_t capacity)
        : capacity_(capacity), slots_(std::allocator<T>().allocate(capacity)) {}
    ~channel_core() {
        this->close_gate();
        for (; size_ != 0; --size_) {
            std::destroy_at(slots_ + first_);
            first_ = after(first_);
        }
        std::allocator<T>().deallocate(slots_, capacity_);
    }

    /// Sends a value if that need not wait and the channel is open, else leaves it alone.
    outcome try_send(T& value) {
        waiter* receiver = nullptr;
        {
            const lock_guard lock(mutex_);
            if (!open_ || !put(value, receiver)) {
                return outcome::not_now;
            }
        }
        finish_all(receiver);
        return outcome::done;
    }
    /// Takes a value back that a receiver was given, and nobody got: it is the first again.
    static void give_back(const place_name& from, T& value) {
        waiter* receiver = nullptr;
        visit(from, [&](waiting_place& p) {
            auto& self = static_cast<channel_core&>(p);
            const lock_guard lock(self.mutex_);
            receiver = self.put_first(value);
        });
        finish_all(receiver);
    }
    /// Gives a value to `take` if there is one.
    template <class Take>
    outcome try_receive(Take take) {
        waiter* sender = nullptr;
        {
            const lock_guard lock(mutex_);
            if (!get(take, sender)) {
                return outcome::not_now;
            }
        }
        finish_all(sender);
        return outcome::done;
    }

    /// Ends `s` once its value is in the channel or received, which may be at once.
    void send(sending<T>* s) {
        waiter* receiver = nullptr;
        {
            const lock_guard lock(mutex_);
            if (!open_) {
                s->error = boost::asio::error::broken_pipe;
            } else if (!put(s->value, receiver)) {
                senders_wait_ = true;
                push(s);
                return;
            }
        }
        finish_all(receiver);
        s->finish();
    }
    /// Ends `r` once it has a value, which may be at once.
    void receive(receiving<T>* r) {
        waiter* sender = nullptr;
        {
            const lock_guard lock(mutex_);
            if (get([r](T&& v) noexcept { replace(r->value, std::move(v)); }, sender)) {
                r->owed = name();
            } else if (open_) {
                senders_wait_ = false;
                push(r);
                return;
            } else {
                r->error = boost::asio::error::eof;
            }
        }
        finish_all(sender);
        r->finish();
    }

    void close() {
        waiter* receivers = nullptr;
        {
            const lock_guard lock(mutex_);
            open_ = false;
            if (!senders_wait_) {
                receivers = pop_all(boost::asio::error::eof);
            }
        }
        finish_all(receivers);
    }

    bool is_open() const noexcept {
        const lock_guard lock(mutex_);
        return open_;
    }
    std::size_t size() const noexcept {
        const lock_guard lock(mutex_);
        return size_;
    }
    std::size_t capacity() const noexcept { return capacity_; }

    static void replace(T& to, T&& from) noexcept {
        std::destroy_at(&to);
        std::construct_at(&to, std::move(from));
    }

private:
    /// A value for which there is no room any more, and no sender.
    class stray final : public sending<T> {
    public:
        explicit stray(T&& v) noexcept
            : sending<T>([](waiter* w) { delete static_cast<stray*>(w); }, std::move(v)) {}
    };

    std::size_t after(std::size_t i) const noexcept { return i + 1 == capacity_ ? 0 : i + 1; }
    std::size_t before(std::size_t i) const noexcept { return (i == 0 ? capacity_ : i) - 1; }

    /// Hands a value to whoever has waited longest for one, or gives null.
    waiter* hand_over(T& value) noexcept {
        if (nobody_waits() || senders_wait_) {
            return nullptr;
        }
        waiter* const receiver = pop();
        replace(static_cast<receiving<T>*>(receiver)->value, std::move(value));
        receiver->owed = name();
        return receiver;
    }

    /// Puts a value before all others, or hands it to the receiver that it gives. Where there is no
    /// room, the newest value waits outside; where there is no memory for that, it is lost.
    waiter* put_first(T& value) noexcept {
        if (waiter* const receiver = hand_over(value)) {
            return receiver;
        }
        if (size_ == capacity_) {
            T& newest = capacity_ != 0 ? slots_[before(first_)] : value;
            if (stray* const s = new (std::nothrow) stray(std::move(newest))) {
                senders_wait_ = true;
                push_front(s);
            }
            if (capacity_ == 0) {
                return nullptr;
            }
            std::destroy_at(&newest);
            --size_;
        }
        first_ = before(first_);
        std::construct_at(slots_ + first_, std::move(value));
        ++size_;
        return nullptr;
    }

    /// Takes a value in, or hands it to `receiver`, who waits for one. False if there is no room.
    bool put(T& value, waiter*& receiver) noexcept {
        receiver = hand_over(value);
        if (receiver != nullptr) {
            return true;
        }
        if (size_ == capacity_) {
            return false;
        }
        const std::size_t at = first_ + size_;
        std::construct_at(slots_ + (at < capacity_ ? at : at - capacity_), std::move(value));
        ++size_;
        return true;
    }

    /// Gives the oldest value away, and its place to `sender`, who has waited for one.
    template <class Take>
    bool get(Take take, waiter*& sender) noexcept {
        const bool has_sender = senders_wait_ && !nobody_waits();
        if (size_ == 0) {
            if (!has_sender) {
                return false;
            }
            sender = pop();
            take(std::move(static_cast<sending<T>*>(sender)->value));
            return true;
        }
        T* const oldest = slots_ + first_;
        take(std::move(*oldest));
        std::destroy_at(oldest);
        if (has_sender) {
            sender = pop();
            std::construct_at(oldest, std::move(static_cast<sending<T>*>(sender)->value));
        } else {
            --size_;
        }
        first_ = after(first_);
        return true;
    }

    const std::size_t capacity_;
    T* const slots_;
    // Guarded by mutex_.
    std::size_t first_ = 0;  // the oldest value
    std::size_t size_ = 0;
    bool open_ = true;
    bool senders_wait_ = false;  // if anybody waits: never both sides do
};

/// Sends. A fiber that finds room does not wait.
template <class T>
struct send_initiation {
    channel_core<T>* core;
    const carrier_executor* executor;

    bool at_once(std::tuple<waiter::error_code>&, T& value) const {
        return core->try_send(value) == channel_core<T>::outcome::done;
    }

    template <class Handler>
    void operator()(Handler&& handler, T&& value) const {
        using waiting = waiting_handler<sending<T>, std::decay_t<Handler>>;
        if constexpr (waiting::is_fiber) {
            if (core->try_send(value) == channel_core<T>::outcome::done) {
                std::forward<Handler>(handler)(waiter::error_code());
                return;
            }
        }
        auto* const w = waiting::make(std::forward<Handler>(handler), *executor, std::move(value));
        w->connect(*core);
        core->send(w);
    }
};

/// Receives. A fiber that finds a value does not wait.
template <class T>
struct receive_initiation {
    channel_core<T>* core;
    const carrier_executor* executor;

    bool at_once(std::tuple<waiter::error_code, T>& result) const {
        const auto take = [&](T&& v) noexcept {
            channel_core<T>::replace(std::get<1>(result), std::move(v));
        };
        return core->try_receive(take) == channel_core<T>::outcome::done;
    }

    template <class Handler>
    void operator()(Handler&& handler) const {
        using waiting = waiting_handler<receiving<T>, std::decay_t<Handler>>;
        core->open_gate();
        if constexpr (waiting::is_fiber) {
            std::tuple<waiter::error_code, T> result;
            if (at_once(result)) {
                waiting::was_served(handler, core->name());
                std::apply(std::forward<Handler>(handler), std::move(result));
                return;
            }
        }
        auto* const w = waiting::make(std::forward<Handler>(handler), *executor);
        w->connect(*core);
        core->receive(w);
    }
};

/// Whether a blocking operation was carried out; not so if the channel is closed, as `closed` says.
/// Throws any other error.
inline bool went_well(const waiter::error_code& ec, const waiter::error_code& closed) {
    if (ec && ec != closed) {
        throw boost::system::system_error(ec);
    }
    return !ec;
}

}  // namespace rung::detail
