#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/version.hpp>
#include <new>
#include <rung/detail/asio_binding.hpp>

namespace rung {
class io_context;
}

/// A program's own services, whose constructors take the context that they are for.
///
/// Asio's `use_service` hands its own `io_context` to such a constructor, and any other context as an
/// `execution_context`. Ours goes through the same registry, so that `has_service` and `add_service`
/// see what it has made.
namespace rung::detail {

using context_service = boost::asio::execution_context::service;

/// How a service is made and destroyed.
struct service_maker {
    context_service* (*make)(io_context&);
    void (*destroy)(context_service*);  // from Boost 1.88 on; before, the registry deletes it
};

/// The context's service with that key, made if there is none. Throws what its constructor throws.
context_service& find_or_make_service(io_context& context, const service_key& key,
                                      const service_maker& maker);

template <class Service>
struct service_maker_of {
#if BOOST_VERSION >= 108800
    using allocator = boost::asio::execution_context::allocator<Service>;

    template <class Context>
    static context_service* make(Context& context) {
        allocator a(context);
        Service* const s = a.allocate(1);
        try {
            return ::new (static_cast<void*>(s)) Service(context);
        } catch (...) {
            a.deallocate(s, 1);
            throw;
        }
    }
    static void destroy(context_service* base) {
        auto* const s = static_cast<Service*>(base);
        allocator a(s->context());
        s->~Service();
        a.deallocate(s, 1);
    }
    static constexpr service_maker value{&make<io_context>, &destroy};
#else
    static context_service* make(io_context& context) { return new Service(context); }
    static constexpr service_maker value{&make, nullptr};
#endif
};

}  // namespace rung::detail

namespace boost::asio {

/// As Asio's own for `asio::io_context`: the service of that type, which is made with the context if
/// there is none yet.
template <class Service>
Service& use_service(rung::io_context& context) {
    return static_cast<Service&>(
        rung::detail::find_or_make_service(context, rung::detail::key_of_service<Service>(),
                                           rung::detail::service_maker_of<Service>::value));
}

}  // namespace boost::asio
