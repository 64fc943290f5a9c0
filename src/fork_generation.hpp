#pragma once

namespace rung::detail {

/// How many forks lie between this process and the one in which the program started.
unsigned fork_generation() noexcept;

}  // namespace rung::detail
