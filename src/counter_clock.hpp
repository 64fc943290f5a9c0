#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace rung::detail {

/// One thread's clock: CLOCK_MONOTONIC, extrapolated from a counter for a fraction of a millisecond.
///
/// `Source` has static members: `ticks()`, the counter; `monotonic_ns()`; `trusted()`, whether the
/// counter may be used; and `distrust()`, after which no thread uses it any more.
///
/// Each anchor takes its time from CLOCK_MONOTONIC, so that a counter which jumps, or changes its
/// rate up to five-fold, is wrong by less than a millisecond and until the next anchor only. The rate
/// is measured again and again; once two measurements disagree, the counter is given up for good.
template <class Source>
class counter_clock {
public:
    /// The time in nanoseconds. It never steps back.
    std::int64_t now_ns() noexcept {
        if (span_ != 0) [[likely]] {
            const std::uint64_t passed = Source::ticks() - anchor_.ticks;
            if (passed < span_) [[likely]] {
                return go_to(anchor_.ns +
                             static_cast<std::int64_t>((passed * scale_) >> scale_bits));
            }
        }
        return read_again();
    }

private:
    static constexpr unsigned scale_bits = 32;
    /// How long an anchor holds.
    static constexpr std::int64_t anchor_ns = 200'000;
    /// Over which time the rate is measured at least: 100 ns of error are 10 ppm.
    static constexpr std::int64_t window_ns = 10'000'000;
    /// By how much two measurements may differ, relatively. CLOCK_MONOTONIC is slewed by 500 ppm.
    static constexpr double tolerance = 2e-3;
    /// A reading that took longer was interrupted.
    static constexpr std::int64_t longest_reading_ns = 1'000;

    /// A moment read from both clocks.
    struct moment {
        std::uint64_t ticks = 0;
        std::int64_t ns = 0;
    };

    std::int64_t go_to(std::int64_t ns) noexcept { return last_ns_ = std::max(last_ns_, ns); }

    std::int64_t read_again() noexcept {
        if (!Source::trusted()) {
            span_ = 0;
            return go_to(Source::monotonic_ns());
        }
        constexpr int tries = 3;
        for (int i = 0;; ++i) {
            const std::int64_t before_ns = Source::monotonic_ns();
            const std::uint64_t ticks = Source::ticks();
            const std::int64_t after_ns = Source::monotonic_ns();
            if (after_ns - before_ns <= longest_reading_ns) {
                measure({ticks, before_ns + (after_ns - before_ns) / 2});
                return go_to(after_ns);
            }
            if (i == tries) {
                return go_to(after_ns);
            }
        }
    }

    /// Has the anchor at `now`, if the rate is known.
    void measure(moment now) noexcept {
        if (now.ns - window_.ns >= window_ns) {
            end_window(now);
        }
        span_ = 0;
        if (rate_known_) {
            anchor_ = now;
            scale_ = static_cast<std::uint64_t>(rate_ * static_cast<double>(1ULL << scale_bits));
            span_ = static_cast<std::uint64_t>(static_cast<double>(anchor_ns) / rate_);
        }
    }

    void end_window(moment now) noexcept {
        const auto ticks = static_cast<std::int64_t>(now.ticks - window_.ticks);
        const double rate =
            ticks > 0 ? static_cast<double>(now.ns - window_.ns) / static_cast<double>(ticks) : 0;
        const bool agrees = rate > 0 && std::abs(rate - rate_) <= tolerance * rate_;
        if (rate_known_ && !agrees) {
            Source::distrust();
        }
        // A rate is known once it has been measured twice, with the same result.
        rate_known_ = agrees;
        rate_ = rate;
        window_ = now;
    }

    moment anchor_;
    std::uint64_t span_ = 0;   // ticks for which the anchor holds; 0: there is none
    std::uint64_t scale_ = 0;  // nanoseconds a tick, times 2^scale_bits
    std::int64_t last_ns_ = 0;
    moment window_;    // where the measurement of the rate began
    double rate_ = 0;  // nanoseconds a tick
    bool rate_known_ = false;
};

}  // namespace rung::detail
