#pragma once

#include <boost/test/unit_test.hpp>
#include <memory>
#include <utility>

namespace test {

/// A handler that fails the test unless it is called exactly once before it is destroyed.
///
/// Copies share one count. `destroyed_only()` makes one that must be destroyed without a call.
template <class F>
class called_once {
public:
    explicit called_once(F f, int expected = 1)
        : f_(std::move(f)), count_(std::make_shared<counter>(expected)) {}

    template <class... Args>
    void operator()(Args&&... args) {
        ++count_->calls;
        f_(std::forward<Args>(args)...);
    }

private:
    struct counter {
        explicit counter(int e) : expected(e) {}
        counter(const counter&) = delete;
        counter& operator=(const counter&) = delete;
        ~counter() { BOOST_TEST(calls == expected); }
        int expected;
        int calls = 0;
    };
    F f_;
    std::shared_ptr<counter> count_;
};

/// A handler of any arguments that must be called exactly once.
inline auto once() {
    return called_once([](auto&&...) {});
}

/// A handler that must be called exactly once and then runs `f`.
template <class F>
auto once(F f) {
    return called_once<F>(std::move(f));
}

/// A handler of any arguments that must be destroyed without having been called.
inline auto never() {
    return called_once([](auto&&...) {}, 0);
}

}  // namespace test
