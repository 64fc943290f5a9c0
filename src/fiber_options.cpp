#include <algorithm>
#include <rung/detail/fiber_core.hpp>
#include <rung/fiber_options.hpp>
#include <rung/stack_pool.hpp>

namespace rung::detail {

fiber_settings settings_of(const fiber_options& options) {
    fiber_settings s;
    s.stack_size = options.stack_size;
    s.stacks = options.stacks != nullptr ? &options.stacks->store() : nullptr;
    const std::size_t kept = std::min(options.name.size(), s.name.size() - 1);
    std::copy_n(options.name.begin(), kept, s.name.begin());
    return s;
}

}  // namespace rung::detail
