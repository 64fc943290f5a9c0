#include "ipc_address.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/system/system_error.hpp>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

namespace rung::ipc::detail {

namespace {

using std::chrono::milliseconds;

/// Keeps other servers away from the directory of a path.
class directory_lock {
public:
    explicit directory_lock(const std::string& path)
        : fd_(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        // Not blocking: anybody who can read the directory could hold us up.
        constexpr int tries = 200;
        constexpr milliseconds between{10};
        int left = tries;
        while (fd_.get() == -1 || ::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
            const int error = errno;
            const bool taken = fd_.get() != -1 && error == EWOULDBLOCK;
            if (!taken || --left == 0) {
                throw boost::system::system_error(
                    taken ? ETIMEDOUT : error, boost::system::system_category(),
                    "rung::ipc::server: cannot lock the directory of " + path);
            }
            std::this_thread::sleep_for(between);
        }
    }
    // A process that was forked meanwhile has the descriptor, too.
    ~directory_lock() { ::flock(fd_.get(), LOCK_UN); }
    directory_lock(const directory_lock&) = delete;
    directory_lock& operator=(const directory_lock&) = delete;

private:
    static std::string directory_of(const std::string& path) {
        const auto slash = path.rfind('/');
        return slash == std::string::npos ? "." : path.substr(0, slash + 1);
    }

    const unique_fd fd_;
};

/// Whether nobody listens at an address.
bool is_dead(const boost::asio::local::stream_protocol::endpoint& endpoint) noexcept {
    // Not blocking: of one whose queue is full we need not wait to be let in.
    const unique_fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::connect(probe.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == -1 &&
           errno == ECONNREFUSED;
}

}  // namespace

unique_fd address::listen() {
    // A killed server's ring keeps its socket for some time, so one that answers is asked again.
    constexpr milliseconds longest_wait{256};
    unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int error = fd.get() == -1 ? errno : EADDRINUSE;
    for (milliseconds wait{1}; error == EADDRINUSE && wait <= longest_wait; wait *= 2) {
        {
            std::optional<directory_lock> alone;
            if (has_file()) {
                alone.emplace(path_);
            }
            error = try_listen(fd.get());
        }
        if (error == 0) {
            return fd;
        }
        std::this_thread::sleep_for(wait);
    }
    fail(error, "cannot listen there");
}

int address::try_listen(int socket) {
    int error = bind_and_listen(socket);
    if (error != EADDRINUSE) {
        return error;
    }
    struct stat found {};
    if (has_file() && ::lstat(path_.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
        fail(error, "what is there is no socket; remove it, or choose another path");
    }
    if (is_dead(endpoint_of(path_))) {
        if (has_file() && ::unlink(path_.c_str()) != 0 && errno != ENOENT) {
            return errno;
        }
        error = bind_and_listen(socket);
    }
    return error;
}

int address::bind_and_listen(int socket) {
    const auto endpoint = endpoint_of(path_);
    if (::bind(socket, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
        return errno;
    }
    owner_ = has_file() && ::lstat(path_.c_str(), &file_) == 0 ? ::getpid() : 0;
    if (::listen(socket, SOMAXCONN) != 0) {
        const int error = errno;
        remove();
        return error;
    }
    return 0;
}

void address::remove() noexcept {
    struct stat now {};
    if (std::exchange(owner_, 0) == ::getpid() && ::lstat(path_.c_str(), &now) == 0 &&
        now.st_dev == file_.st_dev && now.st_ino == file_.st_ino) {
        ::unlink(path_.c_str());
    }
}

void address::fail(int error, const char* why) const {
    throw boost::system::system_error(error, boost::system::system_category(),
                                      "rung::ipc::server: " + path_ + ": " + why);
}

}  // namespace rung::ipc::detail
