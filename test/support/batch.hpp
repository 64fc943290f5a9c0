#pragma once

#include <cstddef>
#include <rung/operation.hpp>
#include <utility>
#include <vector>

namespace test {

/// Operations and their sources, in the same order.
template <class T>
struct batch {
    explicit batch(std::size_t n) {
        sources.reserve(n);
        operations.reserve(n);
        for (std::size_t i = 0; i < n; ++i) {
            auto [source, op] = rung::make_operation<T>();
            sources.push_back(std::move(source));
            operations.push_back(std::move(op));
        }
    }
    std::vector<rung::operation_source<T>> sources;
    std::vector<rung::operation<T>> operations;
};

}  // namespace test
