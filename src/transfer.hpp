#pragma once

#include <cstdint>
#include <rung/detail/io_operation.hpp>

namespace rung::detail {

/// A send or receive as a call that does not wait: a count or a negated errno.
std::int32_t try_transfer(const io_operation& op) noexcept;

}  // namespace rung::detail
