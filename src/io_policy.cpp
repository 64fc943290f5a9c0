#include "io_policy.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace rung::detail {

namespace {

verdict after_poll(const io_operation& op, std::uint32_t events) noexcept {
    // A poll of io_uring ends with POLLRDHUP, too, whatever it asks for.
    const std::uint32_t meant = op.events | POLLERR | POLLHUP | POLLNVAL;
    if ((events & meant) == 0 && op.kind != io_kind::accept) {
        return op.watching && !op.has_watched ? verdict::refuse : verdict::watch;
    }
    // That there is something to read is known by now. What else has come, a look has to tell: a
    // wake-up may name more events than there are.
    return op.kind == io_kind::wait && op.events == POLLIN ? verdict::ended : verdict::call;
}

}  // namespace

verdict after_entry(const io_operation& op, std::int32_t answer) noexcept {
    if (answer == -ECANCELED || answer == -EINTR) {
        return verdict::once_more;  // the thread that had submitted it has exited
    }
    if (op.pauses != 0) {
        return answer == -ETIME ? verdict::call : verdict::ended;
    }
    if (answer >= 0) {
        return op.by_poll ? after_poll(op, static_cast<std::uint32_t>(answer)) : verdict::ended;
    }
    if (op.by_poll) {
        // What the kernel says of a file that never wakes anybody, if it is not ready.
        return answer == -EINVAL ? verdict::refuse : verdict::ended;
    }
    switch (-answer) {
        case EAGAIN:
            // The descriptor is in non-blocking mode, in which some kernels do not wait for it.
            return op.events != 0 ? verdict::poll : verdict::ended;
        case ECONNABORTED:
        case EPROTO:
            // The connection ended before it was accepted; there will be others.
            return op.kind == io_kind::accept && !op.report_aborted ? verdict::once_more
                                                                    : verdict::ended;
        default:
            return verdict::ended;
    }
}

verdict after_call(const io_operation& op, std::int32_t answer) noexcept {
    const bool connects = op.kind == io_kind::connect && !op.by_poll;
    switch (-answer) {
        case EAGAIN:
            if (connects) {
                return verdict::pause;  // no poll tells of room in the backlog of a local acceptor
            }
            // Of connections, another operation may have taken the one that there was.
            if ((!op.polled && !op.watching) || op.kind == io_kind::accept) {
                return verdict::poll;
            }
            // It was said to be ready and is not, which it would be said to be at once again.
            return op.watching && !op.has_watched ? verdict::refuse : verdict::watch;
        case EINPROGRESS:
            return connects ? verdict::poll : verdict::ended;
        default:
            return verdict::ended;
    }
}

std::int64_t pause_ns(unsigned n) noexcept {
    constexpr std::int64_t first_ns = 1'000'000;
    constexpr unsigned most_doublings = 5;
    return first_ns << std::min(n - 1, most_doublings);
}

}  // namespace rung::detail
