#pragma once

/// The one header that names anything in `boost::asio::detail`; the sources are src/guests.cpp and
/// src/context_service.cpp.
///
/// Asio's public class templates reach the operating system through
/// `io_object_impl<Service, Executor>`. Specialising it for our executors gives each of them a native
/// implementation behind an unchanged public interface. What is relied on is checked below, so that
/// a Boost that differs fails here and says why.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/detail/buffer_sequence_adapter.hpp>
#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/detail/deadline_timer_service.hpp>
#include <boost/asio/detail/descriptor_ops.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/detail/io_object_impl.hpp>
#include <boost/asio/detail/posix_serial_port_service.hpp>
#include <boost/asio/detail/resolver_service.hpp>
#include <boost/asio/detail/scheduler.hpp>
#include <boost/asio/detail/service_registry.hpp>
#include <boost/asio/detail/signal_set_service.hpp>
#include <boost/asio/detail/socket_holder.hpp>
#include <boost/asio/detail/socket_ops.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/detail/thread_info_base.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#include <memory>
#include <optional>
#include <rung/detail/guest_thread.hpp>
#include <type_traits>
#include <typeinfo>
#include <utility>

#if defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
#include <boost/asio/detail/io_uring_descriptor_service.hpp>
#include <boost/asio/detail/io_uring_socket_service.hpp>
#else
#include <boost/asio/detail/reactive_descriptor_service.hpp>
#include <boost/asio/detail/reactive_socket_service.hpp>
#endif

#if BOOST_VERSION < 108100
#error "rung needs Boost 1.81 or newer"
#elif defined(BOOST_ASIO_DISABLE_THREADS)
#error "rung needs Asio's locks: give the context a concurrency hint instead of this switch"
#endif

// Whether Asio has what it called deprecated for years and removed in Boost 1.87.
#if BOOST_VERSION < 108700 && !defined(BOOST_ASIO_NO_DEPRECATED)
#define RUNG_ASIO_HAS_DEPRECATED 1
#else
#define RUNG_ASIO_HAS_DEPRECATED 0
#endif

namespace rung {

class executor;

namespace detail {

template <class Protocol>
class socket_service;
class descriptor_service;
class serial_port_service;
template <class Protocol>
class resolver_service;
class signal_set_service;
template <class Traits>
class timer_service;

/// Asio's wrappers of the blocking calls, whose error mapping our objects share.
namespace socket_ops = boost::asio::detail::socket_ops;
namespace descriptor_ops = boost::asio::detail::descriptor_ops;
using boost::asio::detail::buffer_sequence_adapter;
using boost::asio::detail::ioctl_arg_type;
using boost::asio::detail::socket_holder;

// Deprecated, and still part of what Asio's sockets accept.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
template <class Buffers>
inline constexpr bool is_null_buffers = std::is_same_v<Buffers, boost::asio::null_buffers>;
#pragma GCC diagnostic pop

/// The executor of handlers that fulfil a `std::future`: any thread will do for it.
template <class Executor>
inline constexpr bool is_promise_executor = false;
template <class T, class Blocking>
inline constexpr bool is_promise_executor<boost::asio::detail::promise_executor<T, Blocking>> =
    true;

/// The handler within those that only change what it is called with: Asio's for `as_tuple` and
/// `redirect_error`.
template <class Handler>
Handler& unadapted(Handler& h) noexcept {
    return h;
}
template <class Handler>
auto& unadapted(boost::asio::detail::as_tuple_handler<Handler>& h) noexcept {
    return unadapted(h.handler_);
}
template <class Handler>
auto& unadapted(boost::asio::detail::redirect_error_handler<Handler>& h) noexcept {
    return unadapted(h.handler_);
}
template <class Handler>
using unadapted_t = std::remove_reference_t<decltype(unadapted(std::declval<Handler&>()))>;

/// A token like that one, but for what it adapts.
template <class Token, class Inner>
auto readapted(const boost::asio::as_tuple_t<Token>&, const Inner& inner) {
    return boost::asio::as_tuple(inner);
}
template <class Token, class Inner>
auto readapted(const boost::asio::redirect_error_t<Token>& t, const Inner& inner) {
    return boost::asio::redirect_error(inner, t.ec_);
}

/// The traits by which Asio names the stock timer of a clock.
template <class Clock, class WaitTraits>
using clock_time_traits = boost::asio::detail::chrono_time_traits<Clock, WaitTraits>;

#if defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING)
/// What an operation inherits so that Asio's handler tracking can number it.
using tracked_handler = boost::asio::detail::handler_tracking::tracked_handler;

/// A stock `io_context` prepares the tracking when it is made; ours may be the only one.
inline const bool tracking_prepared = [] {
    BOOST_ASIO_HANDLER_TRACKING_INIT;
    return true;
}();
#else
struct tracked_handler {};
#endif

template <class Executor>
struct is_native_executor : std::is_base_of<executor, Executor> {};
template <class Inner>
struct is_native_executor<boost::asio::strand<Inner>> : is_native_executor<Inner> {};

/// An executor whose I/O objects are native: `rung::executor`, what derives from it (Asio's
/// `executor_with_default`), and strands over those.
template <class Executor>
concept native_executor = is_native_executor<Executor>::value;

/// The `rung::executor` within a native executor.
template <native_executor Executor>
auto inner_executor(const Executor& ex) noexcept {
    if constexpr (std::is_base_of_v<executor, Executor>) {
        // The result is a copy without the wrapper; the cast waits for the type to be complete.
        using plain = std::conditional_t<std::is_same_v<Executor, void>, void, executor>;
        return plain(static_cast<const plain&>(ex));
    } else {
        return inner_executor(ex.get_inner_executor());
    }
}

/// An I/O object's implementation: the service by value, which is a reference to the engine.
template <class Service, class Executor>
class native_object {
public:
    using service_type = Service;
    using implementation_type = typename Service::implementation_type;
    using executor_type = Executor;

    explicit native_object(int, const Executor& ex) : service_(ex), executor_(ex) {
        service_.construct(implementation_);
    }
    template <class Context>
    explicit native_object(int, int, Context& context) : native_object(0, context.get_executor()) {}
    native_object(native_object&& other) noexcept
        : service_(other.service_), executor_(other.executor_) {
        service_.move_construct(implementation_, other.implementation_);
    }
    template <class Service1, class Executor1>
    explicit native_object(native_object<Service1, Executor1>&& other)
        : service_(other.get_executor()), executor_(other.get_executor()) {
        service_.converting_move_construct(implementation_, other.get_service(),
                                           other.get_implementation());
    }
    ~native_object() { service_.destroy(implementation_); }

    native_object& operator=(native_object&& other) noexcept {
        if (this != &other) {
            service_.move_assign(implementation_, other.service_, other.implementation_);
            std::destroy_at(&executor_);
            std::construct_at(&executor_, other.executor_);
            service_ = other.service_;
        }
        return *this;
    }

    const Executor& get_executor() const noexcept { return executor_; }
    Service& get_service() noexcept { return service_; }
    const Service& get_service() const noexcept { return service_; }
    implementation_type& get_implementation() noexcept { return implementation_; }
    const implementation_type& get_implementation() const noexcept { return implementation_; }

private:
    Service service_;
    implementation_type implementation_;
    Executor executor_;
};

/// Joins the thread, so that it touches nothing while the services of stock objects shut down: one of
/// them waits for completions of Asio's io_uring that the thread would take from it.
inline void end_guest_thread(boost::asio::execution_context& c) {
    using asio_scheduler = boost::asio::detail::scheduler;
    if (boost::asio::has_service<asio_scheduler>(c)) {
        boost::asio::use_service<asio_scheduler>(c).shutdown();  // once more does nothing
    }
}

/// A native object that guests may take over: a socket that was accepted on a strand of ours becomes
/// a plain `tcp::socket`, and `cancel_after` makes plain timers of ours. Asio's converting
/// constructor asks for the address of the object's service and for its implementation, and takes
/// them for a guest's; so they are a guest's, and descriptor or expiry time has gone over. A resolver
/// has neither. Operations in flight stay behind, cancelled.
template <class Service, class GuestService>
class lending_service : public Service {
public:
    using Service::Service;

    struct guest_address {
        boost::asio::execution_context& context;
        GuestService& operator*() const { return boost::asio::use_service<GuestService>(context); }
        operator GuestService*() const { return std::addressof(**this); }
    };
    guest_address operator&() noexcept { return {this->context()}; }
};

template <class Service, class GuestService, class Executor>
class lending_object : public native_object<lending_service<Service, GuestService>, Executor> {
    using base = native_object<lending_service<Service, GuestService>, Executor>;
    using guest_implementation = typename GuestService::implementation_type;

public:
    using base::base;
    using typename base::implementation_type;

    class implementation {
    public:
        explicit implementation(lending_object& owner) noexcept : owner_(owner) {}
        operator implementation_type&() const noexcept { return owner_.base::get_implementation(); }
        operator guest_implementation&() { return owner_.lend(guest_.emplace()); }

    private:
        lending_object& owner_;
        std::optional<guest_implementation> guest_;  // until the guest has moved it to its own
    };
    implementation get_implementation() noexcept { return implementation(*this); }
    const implementation_type& get_implementation() const noexcept {
        return base::get_implementation();
    }

private:
    guest_implementation& lend(guest_implementation& to) {
        auto& service = this->get_service();
        GuestService& guests = *&service;
        guests.construct(to);
        implementation_type& from = base::get_implementation();
        if constexpr (requires { service.expiry(from); }) {
            boost::system::error_code ec;
            service.cancel(from, ec);
            guests.expires_at(to, service.expiry(from), ec);
        } else if constexpr (requires { service.is_open(from); }) {
            if (service.is_open(from)) {
                lend_descriptor(guests, to, from);
            }
        } else {
            service.cancel(from);
        }
        return to;
    }

    void lend_descriptor(GuestService& guests, guest_implementation& to,
                         implementation_type& from) {
        const auto flags = from.flags;
        [[maybe_unused]] const bool non_blocking = this->get_service().non_blocking(from);
        boost::system::error_code ec;
        socket_holder descriptor(this->get_service().release(from, ec));
        if constexpr (requires { from.protocol; }) {
            guests.assign(to, from.protocol, descriptor.get(), ec);
        } else {
            guests.assign(to, descriptor.get(), ec);
        }
        if (ec) {
            return;
        }
        descriptor.release();
        if constexpr (requires { to.state_ = flags; }) {
            to.state_ = flags;
        } else if constexpr (requires { guests.non_blocking(to, non_blocking, ec); }) {
            guests.non_blocking(to, non_blocking, ec);
        }
    }
};

/// By what a context knows a service: its type, or else an object.
struct service_key {
    const std::type_info* type;
    const boost::asio::execution_context::id* id;
};
inline service_key key_of_id(const boost::asio::execution_context::id& id) noexcept {
    return {nullptr, &id};
}
template <class Type>
service_key key_of_id(const boost::asio::detail::service_id<Type>&) noexcept {
    return {&typeid(boost::asio::detail::typeid_wrapper<Type>), nullptr};
}
template <class Service>
service_key key_of_service() noexcept {
    if constexpr (requires { requires std::is_base_of_v<typename Service::key_type, Service>; }) {
        return {&typeid(boost::asio::detail::typeid_wrapper<Service>), nullptr};
    } else {
        return key_of_id(Service::id);
    }
}

/// While it lives, Asio's recycling of coroutine frames and handlers works on this thread.
class asio_thread_scope : private boost::asio::detail::thread_context {
public:
    asio_thread_scope() : entry_(this, info_) {}

private:
    struct info : boost::asio::detail::thread_info_base {};
    info info_;
    thread_call_stack::context entry_;
};

}  // namespace detail
}  // namespace rung

namespace boost::asio::detail {

#if defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
template <class Protocol>
using rung_replaced_socket_service = io_uring_socket_service<Protocol>;
using rung_replaced_descriptor_service = io_uring_descriptor_service;
#else
template <class Protocol>
using rung_replaced_socket_service = reactive_socket_service<Protocol>;
using rung_replaced_descriptor_service = reactive_descriptor_service;
#endif

template <class Protocol, rung::detail::native_executor Executor>
class io_object_impl<rung_replaced_socket_service<Protocol>, Executor>
    : public rung::detail::lending_object<rung::detail::socket_service<Protocol>,
                                          rung_replaced_socket_service<Protocol>, Executor> {
    using io_object_impl::lending_object::lending_object;
};

template <rung::detail::native_executor Executor>
class io_object_impl<rung_replaced_descriptor_service, Executor>
    : public rung::detail::lending_object<rung::detail::descriptor_service,
                                          rung_replaced_descriptor_service, Executor> {
    using io_object_impl::lending_object::lending_object;
};

template <rung::detail::native_executor Executor>
class io_object_impl<posix_serial_port_service, Executor>
    : public rung::detail::lending_object<rung::detail::serial_port_service,
                                          posix_serial_port_service, Executor> {
    using io_object_impl::lending_object::lending_object;
};

template <class Protocol, rung::detail::native_executor Executor>
class io_object_impl<resolver_service<Protocol>, Executor>
    : public rung::detail::lending_object<rung::detail::resolver_service<Protocol>,
                                          resolver_service<Protocol>, Executor> {
    using io_object_impl::lending_object::lending_object;
};

template <rung::detail::native_executor Executor>
class io_object_impl<signal_set_service, Executor>
    : public rung::detail::native_object<rung::detail::signal_set_service, Executor> {
    using io_object_impl::native_object::native_object;
};

template <class Traits, rung::detail::native_executor Executor>
class io_object_impl<deadline_timer_service<Traits>, Executor>
    : public rung::detail::lending_object<rung::detail::timer_service<Traits>,
                                          deadline_timer_service<Traits>, Executor> {
    using io_object_impl::lending_object::lending_object;
};

}  // namespace boost::asio::detail
