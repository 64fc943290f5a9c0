#pragma once

#include <cstddef>
#include <vector>

namespace demo {

/// The cores that this process may use.
std::vector<int> usable_cores();

/// Confines the process to one core.
void pin_to(int core);

/// Makes sure that the process may have so many descriptors; its children inherit that.
void need_descriptors(std::size_t needed);

}  // namespace demo
