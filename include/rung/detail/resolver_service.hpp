#pragma once

#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/basic_resolver_query.hpp>
#include <boost/asio/ip/basic_resolver_results.hpp>
#include <rung/detail/io_handler.hpp>
#include <rung/detail/name_lookup.hpp>
#include <rung/executor.hpp>
#include <tuple>

namespace rung::detail {

/// The answer in Asio's form.
template <class Protocol>
auto lookup_results(const name_question& q) {
    using results_type = boost::asio::ip::basic_resolver_results<Protocol>;
    return q.error ? results_type() : results_type::create(q.addresses, q.host, q.service);
}
template <class Protocol>
auto lookup_results(const name_question& q, const typename Protocol::endpoint& of) {
    using results_type = boost::asio::ip::basic_resolver_results<Protocol>;
    return q.error ? results_type() : results_type::create(of, q.host, q.service);
}

/// Looks a name up. Arguments of its handler: `(error_code, results)`.
template <class Protocol>
class lookup_core : public lookup_operation {
    using results_type = boost::asio::ip::basic_resolver_results<Protocol>;

public:
    lookup_core(function_type f, const boost::asio::ip::basic_resolver_query<Protocol>& query)
        : lookup_operation(f, query.host_name(), query.service_name(), query.hints()) {}

    std::tuple<boost::system::error_code, results_type> take_result() const {
        if (question == nullptr) {
            return {boost::asio::error::operation_aborted, results_type()};
        }
        return {question->error, lookup_results<Protocol>(*question)};
    }
};

/// Looks the names of an endpoint up. Arguments of its handler: `(error_code, results)`.
template <class Protocol>
class reverse_lookup_core : public lookup_operation {
    using endpoint_type = typename Protocol::endpoint;
    using results_type = boost::asio::ip::basic_resolver_results<Protocol>;

public:
    reverse_lookup_core(function_type f, const endpoint_type& endpoint)
        : lookup_operation(f, endpoint.data(), static_cast<socklen_t>(endpoint.size()),
                           endpoint.protocol().type()),
          endpoint_(endpoint) {}

    std::tuple<boost::system::error_code, results_type> take_result() const {
        if (question == nullptr) {
            return {boost::asio::error::operation_aborted, results_type()};
        }
        return {question->error, lookup_results<Protocol>(*question, endpoint_)};
    }

private:
    endpoint_type endpoint_;
};

/// The native implementation behind Asio's resolvers of one protocol.
///
/// Members have the names, the arguments and the errors of Asio's own resolver service. Unlike
/// there, several lookups of a context go on at once, what needs no lookup (an address as text with a
/// port number) completes without another thread, and a lookup can be cancelled by its slot and
/// while it is under way: its handler need not wait for the name server.
template <class Protocol>
class resolver_service {
public:
    using protocol_type = Protocol;
    using endpoint_type = typename Protocol::endpoint;
    using query_type = boost::asio::ip::basic_resolver_query<Protocol>;
    using results_type = boost::asio::ip::basic_resolver_results<Protocol>;
    using implementation_type = lookup_list;
    using error_code = boost::system::error_code;

    template <native_executor Executor>
    explicit resolver_service(const Executor& ex)
        : engine_(&executor_access::engine_of(inner_executor(ex))) {}

    io_context& context() const noexcept { return engine::context_of(*engine_); }

    void construct(implementation_type&) { lookups::prepare(*engine_); }
    void destroy(implementation_type& r) noexcept { cancel(r); }
    void move_construct(implementation_type& to, implementation_type& from) noexcept {
        lookups::move(*engine_, to, from);
    }
    void converting_move_construct(implementation_type& to, resolver_service&,
                                   implementation_type& from) noexcept {
        move_construct(to, from);
    }
    void move_assign(implementation_type& to, resolver_service& from_service,
                     implementation_type& from) noexcept {
        cancel(to);
        from_service.move_construct(to, from);
    }
    void cancel(implementation_type& r) noexcept { lookups::cancel_all(*engine_, r); }

    results_type resolve(implementation_type&, const query_type& query, error_code& ec) {
        name_question q(query.host_name(), query.service_name(), query.hints());
        q.answer();
        ec = q.error;
        return lookup_results<Protocol>(q);
    }
    results_type resolve(implementation_type&, const endpoint_type& endpoint, error_code& ec) {
        name_question q(endpoint.data(), static_cast<socklen_t>(endpoint.size()),
                        endpoint.protocol().type());
        q.answer();
        ec = q.error;
        return lookup_results<Protocol>(q, endpoint);
    }
    template <class Handler, class IoExecutor>
    void async_resolve(implementation_type& r, const query_type& query, Handler& handler,
                       const IoExecutor& ex) {
        begin<lookup_core<Protocol>>(r, handler, ex, query);
    }
    template <class Handler, class IoExecutor>
    void async_resolve(implementation_type& r, const endpoint_type& endpoint, Handler& handler,
                       const IoExecutor& ex) {
        begin<reverse_lookup_core<Protocol>>(r, handler, ex, endpoint);
    }

private:
    template <class Core, class Handler, class IoExecutor, class Question>
    void begin(implementation_type& r, Handler& handler, const IoExecutor& ex,
               const Question& question) {
        cancel_link* const link =
            connect_slot<&lookups::cancel, &lookups::unlink>(handler, *engine_);
        auto* const op = make_handler_operation<Core>(handler, ex, question);
        BOOST_ASIO_HANDLER_CREATION((context(), *op, "resolver", &r, 0, "async_resolve"));
        lookups::start(*engine_, r, op, link);
    }

    scheduler* engine_;
};

}  // namespace rung::detail
