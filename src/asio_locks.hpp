#pragma once

#include <boost/asio/execution_context.hpp>
#include <memory>

#include "fork_guarded.hpp"

namespace rung::detail {

// Of a context's list of services, which lies behind a lock of Asio's.
void lock_services(boost::asio::execution_context& context) noexcept;
void unlock_services(boost::asio::execution_context& context) noexcept;

/// The locks of Asio's scheduler and reactor, for the time of a fork.
class asio_locks : public fork_guarded {
public:
    virtual ~asio_locks() = default;

    /// Precondition: guests run on our loop.
    static std::unique_ptr<asio_locks> of(boost::asio::execution_context& context);
};

}  // namespace rung::detail
