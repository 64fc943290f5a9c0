#pragma once

#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <concepts>
#include <cstdint>
#include <mutex>
#include <rung/detail/carrier_executor.hpp>
#include <rung/detail/place_name.hpp>
#include <rung/detail/settling_mutex.hpp>
#include <semaphore>
#include <type_traits>
#include <utility>

/// What objects of synchronisation are made of: those who wait, and the places where they do.
namespace rung::detail {

class wait_list;
class waiting_place;

/// The executor of a synchronisation object: a context's, or any.
class wait_executor {
public:
    template <class Context>
    requires std::is_convertible_v<Context&, boost::asio::execution_context&>
    explicit wait_executor(Context& context) : executor_(context.get_executor()) {}
    template <class Executor>
    requires boost::asio::execution::is_executor<Executor>::value
    explicit wait_executor(const Executor& ex) : executor_(ex) {}

    const carrier_executor& get() const noexcept { return executor_; }

private:
    carrier_executor executor_;
};

/// Something that waits in a place.
class waiter {
public:
    using error_code = boost::system::error_code;
    using finish_type = void (*)(waiter*);

    /// Ends the wait, outside of any place and of any lock. The waiter is gone then.
    void finish() { finish_(this); }
    /// The same for one that waits for nothing any more: takes it off its place before.
    void leave();
    /// Takes back what a waiter of the kind was given by that place, and nobody got.
    static void give_back(const place_name&) noexcept {}

    error_code error;            // with which it ends
    wait_list* after = nullptr;  // in which it has to wait next before it may end
    place_name owed;             // where what it was given goes back to if nobody gets that

protected:
    explicit waiter(finish_type f) noexcept : finish_(f) {}
    ~waiter() = default;

private:
    friend class waiting_place;

    finish_type finish_;
    waiting_place* place_ = nullptr;  // where it waits now
    std::uint64_t key_ = 0;           // what requests to cancel it go by; 0: nobody can
    waiter* next_ = nullptr;
    waiter* previous_ = nullptr;
};

/// A thread that waits.
template <class Base = waiter>
class blocked_thread final : public Base {
public:
    template <class... Args>
    explicit blocked_thread(Args&&... args)
        : Base([](waiter* w) { static_cast<blocked_thread*>(w)->ended_.release(); },
               std::forward<Args>(args)...) {}
    /// Blocks it until its wait has ended.
    void block() { ended_.acquire(); }
    /// The same. Throws the error with which it has.
    void block_or_throw() {
        block();
        if (this->error.failed()) {
            throw boost::system::system_error(this->error);
        }
    }

private:
    std::binary_semaphore ended_{0};
};

/// A lock, and those who wait for something that it guards, first come, first served. Thread-safe,
/// but for the protected functions, which are for holders of the lock.
class waiting_place {
public:
    waiting_place(const waiting_place&) = delete;
    waiting_place& operator=(const waiting_place&) = delete;

    /// Makes a name for the place, if it has none yet. To be called before what is given there may
    /// have to go back. Throws `std::bad_alloc`.
    void open_gate() {
        if (!open_.load(std::memory_order_acquire)) [[unlikely]] {  // pairs with make_gate()
            make_gate();
        }
    }
    /// The place's name. Precondition: `open_gate()` was called.
    const place_name& name() const noexcept { return name_; }
    /// Has a cancellation slot end the wait with `operation_aborted`, if it is connected. To be
    /// called before the wait; requests may come when that, and the place, are long gone.
    void connect(waiter* w, boost::asio::cancellation_slot slot);
    /// Ends all waits with `operation_aborted`.
    void cancel();

protected:
    using lock_guard = settling_mutex::guard;

    waiting_place() = default;
    ~waiting_place();

    /// Calls `f(place)` if that place still lives; it does so until `f` returns.
    template <class F>
    static void visit(const place_name& name, F f);
    /// Has names of the place lead nowhere: before what they would reach is destroyed.
    void close_gate() noexcept;

    bool nobody_waits() const noexcept { return first_ == nullptr; }
    void push(waiter* w) noexcept;
    void push_front(waiter* w) noexcept;
    /// Takes off the one who has waited longest, or gives null.
    waiter* pop() noexcept;
    /// Takes off all, who are to be told that error.
    waiter* pop_all(const boost::system::error_code& why) noexcept;
    /// Takes off at most `n`, linked in order, and counts `n` down by their number.
    waiter* pop(std::uint64_t& n) noexcept;
    /// Calls `f(waiter&)` for those that were taken off, linked in order.
    template <class F>
    static void for_each(waiter* w, F f) {
        for (; w != nullptr; w = w->next_) {
            f(*w);
        }
    }
    /// Ends waits that were taken off, linked in order; gives their number. Without the lock: a
    /// handler may be posted anywhere.
    static std::uint64_t finish_all(waiter* first);

    mutable settling_mutex mutex_;

private:
    friend class waiter;
    struct cancel_request;

    void make_gate();
    void remove(waiter* w) noexcept;
    waiter* take(std::uint64_t key) noexcept;

    // Guarded by mutex_.
    waiter* first_ = nullptr;
    waiter* last_ = nullptr;
    std::uint64_t last_key_ = 0;
    // Written once, before open_ says so.
    place_name name_;
    std::atomic<bool> open_{false};
};

/// The way to a place. Gates are never freed, but serve one place after the other, so that a name
/// costs no count of references.
class place_gate {
public:
    std::mutex mutex;
    // Guarded by mutex.
    waiting_place* place = nullptr;
    std::uint64_t number = 0;  // of the place
    // Guarded by the lock of spare gates.
    place_gate* next = nullptr;
};

template <class F>
void waiting_place::visit(const place_name& name, F f) {
    place_gate& g = *name.gate_;
    const std::lock_guard lock(g.mutex);
    if (g.number == name.number_) {
        f(*g.place);
    }
}

}  // namespace rung::detail
