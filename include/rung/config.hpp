#pragma once

/// The library's version, as `major * 10000 + minor * 100 + patch`.
#define RUNG_VERSION 100

#if defined(__SANITIZE_THREAD__)
#define RUNG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUNG_TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define RUNG_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUNG_ASAN 1
#endif
#endif
