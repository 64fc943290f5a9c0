#pragma once

#include <cstddef>
#include <string_view>

namespace rung {

class stack_pool;

namespace detail {
struct fiber_settings;
}  // namespace detail

/// How a fiber is made. Every field has a usable default.
struct fiber_options {
    /// Usable bytes of its stack. 0: the pool's default.
    std::size_t stack_size = 0;
    /// The pool of its stack, which must outlive it. Null: `stack_pool::common()`.
    stack_pool* stacks = nullptr;
    /// What overflow reports, traces and debuggers call it; the first 23 bytes are kept.
    std::string_view name{};
};

namespace detail {
fiber_settings settings_of(const fiber_options& options);
}  // namespace detail

}  // namespace rung
