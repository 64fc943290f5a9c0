#pragma once

#include <boost/asio/async_result.hpp>
#include <rung/detail/io_handler.hpp>

namespace rung::detail {

/// A submission entry that does nothing: what one trip through the ring costs.
class nop_core : public io_operation {
public:
    explicit nop_core(function_type f) noexcept : io_operation(f, level::normal) {
        kind = io_kind::nop;
    }
    std::tuple<boost::system::error_code> take_result() const noexcept { return {error()}; }
};

/// Sends an empty operation through the ring. Completion signature: `void(error_code)`.
template <class Token>
auto async_nop(const executor& ex, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        [ex](auto handler) {
            scheduler& s = executor_access::engine_of(ex);
            cancel_link* const link = connect_slot<&engine::cancel>(handler, s);
            auto* const op = make_handler_operation<nop_core>(handler, ex);
            engine::start(s, op, nullptr, link);
        },
        token);
}

}  // namespace rung::detail
