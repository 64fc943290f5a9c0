#pragma once

#include <rung/detail/operation.hpp>

namespace rung::detail {

/// An operation that goes on on a stack of its own: a fiber.
class stack_operation : public operation {
public:
    void* context_ = nullptr;           // where on its stack it goes on
    stack_operation* ahead_ = nullptr;  // some places behind it in its queue; see run_queue

protected:
    stack_operation(function_type function, level l) noexcept : operation(function, l) {
        has_stack_ = true;
    }
    ~stack_operation() = default;
};

}  // namespace rung::detail
