#pragma once

#include <algorithm>
#include <cstdint>

namespace rung::detail {

/// When the loop's thread may own the engine's lock again, after other threads have locked it.
///
/// To end an ownership costs the other thread a barrier on every core; without one, each lock costs
/// the loop a mutex. So the lock has to be left alone for a while first, and for twice as long each
/// time that the ownership did not last: a thread that locks it often pays for one barrier in
/// `longest_ns`, and one that does so seldom finds the loop as fast as if it were not there.
class ownership_backoff {
public:
    static constexpr std::int64_t shortest_ns = 1'000'000;
    static constexpr std::int64_t longest_ns = 256'000'000;
    /// An ownership of this length costs next to nothing a second.
    static constexpr std::int64_t worthwhile_ns = 1'000'000'000;

    /// To be asked under the lock while nobody owns it. `visits` counts the locks of other threads.
    bool may_own(std::uint64_t visits, std::int64_t now_ns) noexcept {
        if (owned_) {
            owned_ = false;
            const bool lasted = now_ns - since_ns_ >= worthwhile_ns;
            quiet_ns_ = lasted ? shortest_ns : std::clamp(2 * quiet_ns_, shortest_ns, longest_ns);
            visits_ = visits;
            since_ns_ = now_ns;
        } else if (visits_ != visits) {
            visits_ = visits;
            since_ns_ = now_ns;
        } else if (now_ns - since_ns_ >= quiet_ns_) {
            owned_ = true;
            since_ns_ = now_ns;
        }
        return owned_;
    }

private:
    bool owned_ = true;
    std::int64_t since_ns_ = 0;  // owned, or left alone
    std::int64_t quiet_ns_ = 0;
    std::uint64_t visits_ = 0;
};

}  // namespace rung::detail
