/// The registry of services that each of Asio's execution contexts has.

#include <rung/detail/context_service.hpp>
#include <rung/io_context.hpp>

namespace rung::detail {

namespace {

using registry = boost::asio::detail::service_registry;

registry& registry_of(boost::asio::execution_context& c) noexcept;

struct service_order {
    io_context& context;
    const service_maker& maker;
};
context_service& find_or_make(registry& r, const service_key& key, service_order& order);

// The members are private. An explicit instantiation may name them all the same, and does not
// compile should a Boost of the future have others.

template <auto Registry>
struct context_parts {
    friend registry& registry_of(boost::asio::execution_context& c) noexcept {
        return *(c.*Registry);
    }
};
template struct context_parts<&boost::asio::execution_context::service_registry_>;

#if BOOST_VERSION >= 108800
void set_destroyer(context_service& s, void (*destroy)(context_service*)) noexcept;

template <auto Destroy>
struct service_parts {
    friend void set_destroyer(context_service& s, void (*destroy)(context_service*)) noexcept {
        s.*Destroy = destroy;
    }
};
template struct service_parts<&context_service::destroy_>;
#endif

template <class Key, class Factory>
using use_function = context_service* (registry::*)(const Key&, Factory, void*);

template <auto Use>
class registry_parts;
template <class Key, class Factory, use_function<Key, Factory> Use>
class registry_parts<Use> {
    static context_service* make(void* data) {
        const auto& order = *static_cast<const service_order*>(data);
        context_service* const s = order.maker.make(order.context);
#if BOOST_VERSION >= 108800
        set_destroyer(*s, order.maker.destroy);
#endif
        return s;
    }
    static context_service* make(boost::asio::execution_context&, void* data) {  // since 1.88
        return make(data);
    }

    static context_service& use(registry& r, const service_key& key, service_order& order) {
        Key k;
        k.type_info_ = key.type;
        k.id_ = key.id;
        return *(r.*Use)(k, static_cast<Factory>(&make), &order);
    }

    friend context_service& find_or_make(registry& r, const service_key& key,
                                         service_order& order) {
        return use(r, key, order);
    }
};
template class registry_parts<&registry::do_use_service>;

}  // namespace

context_service& find_or_make_service(io_context& context, const service_key& key,
                                      const service_maker& maker) {
    service_order order{context, maker};
    return find_or_make(registry_of(context), key, order);
}

}  // namespace rung::detail
