#pragma once

#include <sys/types.h>

#include <string>

#include "serve.hpp"

namespace demo {

/// A server in a process of its own, which never outlives this one.
class child {
public:
    /// Forks; this process must have one thread only. Throws `std::runtime_error` if the server
    /// does not begin to listen, with the reason that it gives.
    child(std::string name, serve_function* serve, int core);
    ~child() { stop(); }
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    const std::string& name() const noexcept { return name_; }
    ports listening_on() const noexcept { return ports_; }
    /// Processor time used so far.
    double cpu_seconds() const;

private:
    void stop() noexcept;

    std::string name_;
    pid_t id_ = -1;
    ports ports_;
};

}  // namespace demo
