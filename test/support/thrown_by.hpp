#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

namespace test {

/// The code of the `system_error` that `f` throws, or none.
template <class F>
boost::system::error_code thrown_by(F f) {
    try {
        f();
        return {};
    } catch (const boost::system::system_error& e) {
        return e.code();
    }
}

}  // namespace test
