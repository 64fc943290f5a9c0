#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <rung/detail/engine.hpp>

namespace rung::detail {

/// What an operation puts into its handler's cancellation slot.
///
/// Every cancellation type ends an operation: a call that was cancelled has transferred nothing.
/// `Cancel` is the function for the kind of operation, and `Unlink` the one of whose lock guards the
/// link.
template <void (*Cancel)(cancel_link&) noexcept,
          void (*Unlink)(cancel_link&) noexcept = &engine::unlink>
class slot_handler {
public:
    explicit slot_handler(scheduler& s) noexcept { link_.engine = &s; }
    slot_handler(const slot_handler&) = delete;
    slot_handler& operator=(const slot_handler&) = delete;
    ~slot_handler() {
        if (link_.op.load(std::memory_order_acquire) != nullptr) {  // pairs with unlink_slot
            Unlink(link_);
        }
    }

    void operator()(boost::asio::cancellation_type_t type) noexcept {
        using boost::asio::cancellation_type;
        constexpr auto any =
            cancellation_type::terminal | cancellation_type::partial | cancellation_type::total;
        if ((type & any) != cancellation_type::none &&
            link_.op.load(std::memory_order_acquire) != nullptr) {
            Cancel(link_);
        }
    }

    cancel_link& link() noexcept { return link_; }

private:
    cancel_link link_;
};

/// Connects the slot of `handler`, if it has one, and gives the link for the operation.
template <void (*Cancel)(cancel_link&) noexcept,
          void (*Unlink)(cancel_link&) noexcept = &engine::unlink, class Handler>
cancel_link* connect_slot(const Handler& handler, scheduler& s) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (!slot.is_connected()) {
        return nullptr;
    }
    return &slot.template emplace<slot_handler<Cancel, Unlink>>(s).link();
}

}  // namespace rung::detail
