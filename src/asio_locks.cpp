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
    void go_on_alone() noexcept override { go_on(); }

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
