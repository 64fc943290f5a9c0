#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <rung/clock.hpp>
#include <rung/detail/monotonic.hpp>
#include <string_view>

#include "counter_clock.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace rung {

#if defined(__x86_64__)

namespace {

/// Whether the counter runs at one rate in every power state.
bool invariant_counter() noexcept {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8)) != 0;
}

/// Whether the kernel itself tells the time by the counter, which it watches. Where another machine
/// is beneath, it may know better.
bool kernel_uses_counter() noexcept {
    const int file = ::open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                            O_RDONLY | O_CLOEXEC);
    if (file == -1) {
        return false;
    }
    std::array<char, 16> name{};
    const ssize_t n = ::read(file, name.data(), name.size());
    ::close(file);
    return n > 0 && std::string_view(name.data(), static_cast<std::size_t>(n)) == "tsc\n";
}

/// The time-stamp counter, as `counter_clock` wants it.
struct time_stamp_counter {
    static std::uint64_t ticks() noexcept { return __rdtsc(); }
    static std::int64_t monotonic_ns() noexcept { return detail::monotonic_now_ns(); }
    static bool trusted() noexcept {
        trust now = state.load(std::memory_order_relaxed);
        if (now == trust::unknown) [[unlikely]] {
            const trust found =
                invariant_counter() && kernel_uses_counter() ? trust::trusted : trust::distrusted;
            // Unless another thread has lost its trust meanwhile.
            if (state.compare_exchange_strong(now, found, std::memory_order_relaxed)) {
                now = found;
            }
        }
        return now == trust::trusted;
    }
    static void distrust() noexcept { state.store(trust::distrusted, std::memory_order_relaxed); }

private:
    enum class trust : unsigned char { unknown, trusted, distrusted };
    static constinit std::atomic<trust> state;
};

constinit std::atomic<time_stamp_counter::trust> time_stamp_counter::state{trust::unknown};

constinit thread_local detail::counter_clock<time_stamp_counter> reader;

}  // namespace

std::int64_t clock::now_ns() noexcept { return reader.now_ns(); }

bool clock::uses_time_stamp_counter() noexcept { return time_stamp_counter::trusted(); }

#else

std::int64_t clock::now_ns() noexcept { return detail::monotonic_now_ns(); }

bool clock::uses_time_stamp_counter() noexcept { return false; }

#endif

}  // namespace rung
