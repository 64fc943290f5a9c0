#pragma once

namespace rung::detail {

/// Tells the processor that this is a loop that waits.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

}  // namespace rung::detail
