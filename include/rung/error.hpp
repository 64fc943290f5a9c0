#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <type_traits>

namespace rung {

/// What no standard error code says.
enum class error {
    /// The producer of an operation went away without finishing it.
    abandoned = 1,
    /// A context made for one thread (`concurrency_hint` 1) was run by a second one.
    wrong_thread,
    /// The process is the child of a fork, and the context its parent's.
    forked,
    /// An option of `io_context_options` has a value that cannot be used.
    bad_option,
    /// The backend that was asked for is not available in this build.
    backend_unavailable,
    /// The producer of an operation threw something that holds no error code; `get()` throws it.
    exception,
    /// A `stack_pool` has as many stacks as its limit allows.
    stack_limit,
    /// The process at the other end of a connection sent what cannot be right.
    bad_peer,
};

/// The category of `rung::error`.
const boost::system::error_category& error_category() noexcept;

/// Makes an error code of a `rung::error`.
inline boost::system::error_code make_error_code(error e) noexcept {
    return {static_cast<int>(e), error_category()};
}

}  // namespace rung

template <>
struct boost::system::is_error_code_enum<rung::error> : std::true_type {};
