#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <rung/error.hpp>
#include <rung/operation_state.hpp>

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

/// The code of the `system_error` that `f` throws, or none.
template <class F>
error_code thrown_by(F f) {
    try {
        f();
        return {};
    } catch (const boost::system::system_error& e) {
        return e.code();
    }
}

}  // namespace test
