#pragma once

#include <concepts>
#include <cstdint>
#include <memory>

namespace rung {

namespace detail {

/// A number that no other `fiber_local` of the process has or had.
std::uint64_t new_fiber_local_key() noexcept;
/// The calling fiber's value of that key, or null. Throws `std::logic_error` outside of a fiber.
void* find_fiber_local(std::uint64_t key);
/// Adds one, to be destroyed with the fiber's function, the newest first.
void add_fiber_local(std::uint64_t key, void* value, void (*destroy)(void*) noexcept);

}  // namespace detail

/// A variable of which each fiber has its own, made (`T()`) at the fiber's first use of it and
/// destroyed when the fiber's function has ended, on the fiber's stack.
///
/// Access throws `std::logic_error` outside of a fiber, and what the allocation or `T()` throws.
/// Its cost is that of a search among the fiber's values, so keep one for what belongs together.
/// Thread-safety: safe. Values of fibers that still run outlive the object.
///
/// Example:
///
///     rung::fiber_local<std::string> request_id;
///     *request_id = "42";   // of this fiber
template <std::default_initializable T>
class fiber_local {
public:
    fiber_local() noexcept : key_(detail::new_fiber_local_key()) {}
    fiber_local(const fiber_local&) = delete;
    fiber_local& operator=(const fiber_local&) = delete;

    T& operator*() const { return get(); }
    T* operator->() const { return &get(); }
    T& get() const {
        if (void* const value = detail::find_fiber_local(key_)) {
            return *static_cast<T*>(value);
        }
        auto value = std::make_unique<T>();
        detail::add_fiber_local(key_, value.get(),
                                [](void* p) noexcept { delete static_cast<T*>(p); });
        return *value.release();
    }

private:
    const std::uint64_t key_;
};

}  // namespace rung
