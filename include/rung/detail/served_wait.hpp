#pragma once

#include <rung/detail/fiber_core.hpp>
#include <rung/detail/place_name.hpp>

namespace rung::detail {

class waiter;

/// A fiber's wait that may end in a synchronisation object.
///
/// If the fiber is unwound while it waits there, it leaves; if it is unwound when it was given a
/// unit or a value, and has not gone on, that goes back.
class served_wait : public fiber_wait {
public:
    using give_back_type = void (*)(served_wait&, const place_name&);

    /// To be called before the wait begins.
    void waits_as(waiter* w) noexcept { waiter_ = w; }
    /// To be called before the fiber is told. `from`: null if it was given nothing.
    void was_served(const place_name& from, give_back_type f) noexcept {
        waiter_ = nullptr;
        from_ = from;
        give_back_ = f;
    }

protected:
    served_wait() = default;
    ~served_wait() = default;

    /// To be called at the end, while what the fiber was given still is in its place.
    void end() {
        if (waiter_ != nullptr || from_) [[unlikely]] {
            forgo();
        }
    }
    /// The fiber has what it was given.
    void goes_on() noexcept { from_ = {}; }

private:
    void forgo();

    waiter* waiter_ = nullptr;
    place_name from_;
    give_back_type give_back_ = nullptr;
};

}  // namespace rung::detail
