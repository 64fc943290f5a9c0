#pragma once

#include <cstdint>

namespace rung::detail {

class place_gate;

/// Names a `waiting_place` to those who may outlive it: requests to cancel a wait, and whoever was
/// given something there and may have to give it back. Null by default.
class place_name {
public:
    constexpr place_name() noexcept = default;
    explicit operator bool() const noexcept { return gate_ != nullptr; }

private:
    friend class waiting_place;
    constexpr place_name(place_gate* g, std::uint64_t n) noexcept : gate_(g), number_(n) {}

    place_gate* gate_ = nullptr;
    std::uint64_t number_ = 0;  // of the places that the gate has led to
};

}  // namespace rung::detail
