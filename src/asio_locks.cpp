/// Asio's locks, which other threads may hold when this one forks. In the child of a fork with stock
/// Asio they stay locked then.

#include "asio_locks.hpp"

#include <boost/asio/detail/mutex.hpp>
#include <boost/asio/detail/scheduler.hpp>
#include <boost/asio/detail/service_registry.hpp>
// Needs the scheduler to be known.
#include <boost/asio/detail/reactor.hpp>
#include <optional>
#include <rung/io_context.hpp>
#include <type_traits>
#include <utility>

namespace rung::detail {

namespace {

using boost::asio::execution_context;
using service_list = boost::asio::detail::service_registry;

/// The members are private: see guests.cpp on how they can be named.
boost::asio::detail::mutex& list_mutex(execution_context& c) noexcept;

template <auto Registry, auto Mutex>
struct list_parts {
    friend boost::asio::detail::mutex& list_mutex(execution_context& c) noexcept {
        return (c.*Registry)->*Mutex;
    }
};
template struct list_parts<&execution_context::service_registry_, &service_list::mutex_>;

}  // namespace

void lock_services(execution_context& context) noexcept { list_mutex(context).lock(); }
void unlock_services(execution_context& context) noexcept { list_mutex(context).unlock(); }

#if RUNG_ASIO_USES_EPOLL

namespace {

using asio_scheduler = boost::asio::detail::scheduler;
using asio_reactor = boost::asio::detail::epoll_reactor;

std::unique_ptr<asio_locks> make_locks(asio_scheduler& s, asio_reactor& r);

/// In the child of a fork: takes the descriptors that another thread was closing from those that the
/// reactor is to watch anew, where it would fail on them. Their objects may still be destroyed.
void leave_out_what_is_closing(asio_reactor& r) noexcept;

template <auto Watched, auto First, auto Next, auto Previous, auto Number>
struct watched_descriptors {
    using descriptor = asio_reactor::descriptor_state;

    static void leave_out(descriptor*& first, descriptor* d) noexcept {
        descriptor* const next = std::exchange(d->*Next, nullptr);
        descriptor* const previous = std::exchange(d->*Previous, nullptr);
        (previous != nullptr ? previous->*Next : first) = next;
        if (next != nullptr) {
            next->*Previous = previous;
        }
    }
    static void leave_out_closing(descriptor*& first) noexcept {
        for (descriptor* d = first; d != nullptr;) {
            descriptor* const next = d->*Next;
            if (d->*Number == -1) {
                leave_out(first, d);
            }
            d = next;
        }
    }
    friend void leave_out_what_is_closing(asio_reactor& r) noexcept {
        leave_out_closing(r.*Watched.*First);
    }
};
template struct watched_descriptors<&asio_reactor::registered_descriptors_,
                                    &decltype(asio_reactor::registered_descriptors_)::live_list_,
                                    &asio_reactor::descriptor_state::next_,
                                    &asio_reactor::descriptor_state::prev_,
                                    &asio_reactor::descriptor_state::descriptor_>;

template <auto Timers, auto Descriptors, auto Queue>
class held_locks final : public asio_locks {
public:
    held_locks(asio_scheduler& s, asio_reactor& r) : scheduler_(s), reactor_(r) {
        join_forks(order::guests);
    }
    ~held_locks() override { leave_forks(); }

private:
    template <class Class, auto Member>
    using lock_of =
        typename std::remove_reference_t<decltype(std::declval<Class&>().*Member)>::scoped_lock;

    void lock_for_fork() noexcept override {
        timers_.emplace(reactor_.*Timers);
        descriptors_.emplace(reactor_.*Descriptors);
        queue_.emplace(scheduler_.*Queue);
    }
    void go_on() noexcept override {
        queue_.reset();
        descriptors_.reset();
        timers_.reset();
    }
    void go_on_alone() noexcept override {
        leave_out_what_is_closing(reactor_);
        go_on();
    }

    friend std::unique_ptr<asio_locks> make_locks(asio_scheduler& s, asio_reactor& r) {
        return std::make_unique<held_locks>(s, r);
    }

    asio_scheduler& scheduler_;
    asio_reactor& reactor_;
    std::optional<lock_of<asio_reactor, Timers>> timers_;
    std::optional<lock_of<asio_reactor, Descriptors>> descriptors_;
    std::optional<lock_of<asio_scheduler, Queue>> queue_;
};
template class held_locks<&asio_reactor::mutex_, &asio_reactor::registered_descriptors_mutex_,
                          &asio_scheduler::mutex_>;

}  // namespace

std::unique_ptr<asio_locks> asio_locks::of(execution_context& context) {
    return make_locks(boost::asio::use_service<asio_scheduler>(context),
                      boost::asio::use_service<asio_reactor>(context));
}

#endif

}  // namespace rung::detail
