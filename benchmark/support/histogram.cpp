#include "histogram.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace bench {

histogram::histogram() : counts_(bucket_of(limit) + 1) {}

void histogram::reset() noexcept {
    std::fill(counts_.begin(), counts_.end(), 0);
    total_ = 0;
    max_ = 0;
}

void histogram::merge(const histogram& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        counts_[i] += other.counts_[i];
    }
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
}

std::uint64_t histogram::quantile(double fraction) const noexcept {
    assert(fraction >= 0 && fraction <= 1);
    if (total_ == 0) {
        return 0;
    }
    const auto wanted =
        static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(total_)));
    const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, total_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        seen += counts_[i];
        if (seen >= rank) {
            return std::min(middle_of(static_cast<unsigned>(i)), max_);
        }
    }
    return max_;
}

/// The first 2 * sub_count buckets are one wide; from there on every power of two has sub_count
/// buckets, each twice as wide as those of the power before.
unsigned histogram::bucket_of(std::uint64_t value) noexcept {
    value = std::min(value, limit);
    if (value < 2 * sub_count) {
        return static_cast<unsigned>(value);
    }
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - (sub_bits + 1);
    return (shift << sub_bits) + static_cast<unsigned>(value >> shift);
}

std::uint64_t histogram::middle_of(unsigned bucket) noexcept {
    if (bucket < 2 * sub_count) {
        return bucket;
    }
    const unsigned shift = (bucket >> sub_bits) - 1;
    const std::uint64_t lowest = static_cast<std::uint64_t>(bucket - (shift << sub_bits)) << shift;
    return lowest + ((std::uint64_t{1} << shift) - 1) / 2;
}

}  // namespace bench
