#pragma once

#include <stdexcept>
#include <string>

namespace bench {

/// A failure that ends the benchmark with its text on standard error and a non-zero exit.
class failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A system cannot run on this machine, io_uring being forbidden for one. Systems that run by
/// default are then left out with a note; one that was asked for by name ends the benchmark.
class unavailable : public failure {
public:
    using failure::failure;
};

/// Throws a `failure` that reads "<what>: <text of errno>".
[[noreturn]] void fail_errno(const std::string& what);

}  // namespace bench
