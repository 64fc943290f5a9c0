#pragma once

#include <cstdint>
#include <rung/config.hpp>

namespace rung::detail {

/// A priority level of the run queue or of the submission queue.
enum class level : std::uint8_t { high = 0, normal = 1, low = 2 };

/// The engine's unit of work: an intrusive node with one function.
///
/// Whoever takes an operation off a queue calls exactly one of `complete` and `destroy`, after which
/// the node no longer exists.
class operation {
public:
    enum class action : bool { destroy, complete };
    using function_type = void (*)(operation*, action);

    /// Frees the operation's memory, then runs its handler.
    void complete() { function_(this, action::complete); }

    /// Frees the operation and its handler without running it.
    void destroy() { function_(this, action::destroy); }

    operation* next_ = nullptr;  // of whichever queue holds the operation
    level level_;                // at which the handler runs
    bool has_stack_ = false;     // it is a stack_operation
    bool aborted_ = false;       // of a wait_operation: here it costs no room

protected:
    operation(function_type function, level l) noexcept : level_(l), function_(function) {}
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    ~operation() = default;

private:
    function_type function_;
};

}  // namespace rung::detail
