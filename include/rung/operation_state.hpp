#pragma once

#include <cstdint>
#include <iosfwd>

namespace rung {

/// Where an operation stands. It begins `pending`, may become `running`, and ends in one of the
/// other three, which is final.
enum class operation_state : std::uint8_t { pending, running, done, failed, cancelled };

/// Whether it is one of the three final states.
constexpr bool is_final(operation_state s) noexcept { return s >= operation_state::done; }

/// The state's name.
const char* to_string(operation_state s) noexcept;

/// Writes the state's name.
template <class Char, class Traits>
std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                             operation_state s) {
    return out << to_string(s);
}

/// Which changes a watching function on an executor is told of.
enum class delivery : std::uint8_t {
    latest,  ///< the newest, whenever it comes to run
    each,    ///< every one, in order
};

template <class T = void, class Progress = void>
class operation;
template <class T = void, class Progress = void>
class operation_source;

}  // namespace rung
