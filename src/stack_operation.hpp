#pragma once

#include <rung/detail/operation.hpp>

namespace rung::detail {

/// An operation that goes on on a stack of its own: a fiber.
class stack_operation : public operation {
public:
    void* context_ = nullptr;  // where on its stack it goes on

protected:
    stack_operation(function_type function, level l) noexcept : operation(function, l) {
        has_stack_ = true;
    }
    ~stack_operation() = default;
};

}  // namespace rung::detail
