#include "own_stacks.hpp"

#include <boost/system/system_error.hpp>
#include <string>

#include "fiber.hpp"

namespace rung::detail {

constinit std::mutex own_stacks::mutex_;
constinit own_stack* own_stacks::first_ = nullptr;

void own_stack::check_size(std::size_t size) {
    constexpr std::size_t smallest = std::size_t{4} << 10;
    static_assert(sizeof(fiber) < smallest / 4);
    if (size < smallest) {
        throw boost::system::system_error(
            make_error_code(boost::system::errc::argument_out_of_domain),
            "rung::spawn: a stack of " + std::to_string(size) +
                " bytes, of the allocator given, "
                "is smaller than " +
                std::to_string(smallest));
    }
}

void own_stacks::add(own_stack& s, fiber& lives) noexcept {
    const std::lock_guard lock(mutex_);
    s.lives_ = &lives;
    s.next_ = first_;
    if (first_ != nullptr) {
        first_->previous_ = &s;
    }
    first_ = &s;
}

void own_stacks::remove(own_stack& s) noexcept {
    const std::lock_guard lock(mutex_);
    (s.previous_ != nullptr ? s.previous_->next_ : first_) = s.next_;
    if (s.next_ != nullptr) {
        s.next_->previous_ = s.previous_;
    }
}

bool own_stacks::hold(const fiber& f) noexcept {
    bool found = false;
    for_each_fiber([&](const fiber& other) { found = found || &other == &f; });
    return found;
}

}  // namespace rung::detail
