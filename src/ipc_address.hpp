#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "ipc_link.hpp"

namespace rung::ipc::detail {

/// The place at which a server listens, and the file that it has there.
///
/// Servers look at a path, and change what is there, under a lock on its directory: so none takes
/// one that is bound and does not listen yet for dead, and none removes another's file. The kernel
/// lifts the lock with the process, and no file is left of it.
class address {
public:
    explicit address(std::string_view path) : path_(path) {}
    ~address() { remove(); }
    address(const address&) = delete;
    address& operator=(const address&) = delete;

    /// A socket that listens there, in the place of a dead server's, if there is one. Throws
    /// `system_error`, after half a second where somebody listens already.
    unique_fd listen();
    /// Removes the file if it is still ours. To be called while the socket listens, so that nobody
    /// takes it over in between.
    void remove() noexcept;

private:
    bool has_file() const noexcept { return path_.front() != '@'; }
    /// The error of one try, 0 if it listens.
    int try_listen(int socket);
    int bind_and_listen(int socket);
    [[noreturn]] void fail(int error, const char* why) const;

    const std::string path_;
    pid_t owner_ = 0;      // of the file: this process, but for a copy that was forked
    struct stat file_ {};  // as it was made
};

}  // namespace rung::ipc::detail
