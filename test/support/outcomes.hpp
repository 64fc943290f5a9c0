#pragma once

#include <boost/asio/error.hpp>
#include <rung/error.hpp>
#include <rung/operation_state.hpp>

#include "thrown_by.hpp"

/// How operations end, in the words of the tests.
namespace test {

using boost::system::error_code;
using state = rung::operation_state;

inline const error_code no_error;
inline const error_code aborted = boost::asio::error::operation_aborted;
inline const error_code abandoned = rung::error::abandoned;
inline const error_code refused = boost::asio::error::connection_refused;
inline const error_code timed_out = boost::asio::error::timed_out;
inline const error_code deadlock =
    make_error_code(boost::system::errc::resource_deadlock_would_occur);

}  // namespace test
