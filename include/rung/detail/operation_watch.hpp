#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <optional>
#include <rung/detail/completion.hpp>
#include <rung/detail/engine.hpp>
#include <rung/detail/operation_storage.hpp>
#include <rung/detail/watch_executor.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// What a handler gets for a value of type `T`: an optional one where no default would do for an
/// operation that ended without a value.
template <class T>
using handler_value = std::conditional_t<std::is_default_constructible_v<T>, T, std::optional<T>>;

/// What a watcher puts into its handler's cancellation slot: ends the watching, not the operation.
class watch_canceller {
public:
    watch_canceller(operation_core& core, operation_watcher& w) noexcept : link_(core, w) {
        w.link = &link_;
    }

    void operator()(boost::asio::cancellation_type_t type) noexcept {
        if (type != boost::asio::cancellation_type::none) {
            link_.dismiss();
        }
    }

private:
    watch_link link_;
};

/// Connects the handler's slot, if it has one, to its watcher. Before the watcher is added.
template <class Handler>
void connect_watch(const Handler& handler, operation_core& core, operation_watcher& w) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
        slot.template emplace<watch_canceller>(core, w);
    }
}

/// Makes the arguments of a handler that waits for the end.
template <class Storage, class T>
struct end_arguments {
    static constexpr auto what = operation_watcher::wants::end;

    auto operator()(Storage& s, operation_watcher::event e) const {
        using value = handler_value<T>;
        if (e == operation_watcher::event::dismissed) {
            return std::tuple<boost::system::error_code, value>(
                boost::asio::error::operation_aborted, value());
        }
        if (s.value.peek() == nullptr) {
            return std::tuple<boost::system::error_code, value>(s.error(), value());
        }
        return std::tuple<boost::system::error_code, value>(s.error(),
                                                            s.value.give(s.sole_reference()));
    }
};
template <class Storage>
struct end_arguments<Storage, void> {
    static constexpr auto what = operation_watcher::wants::end;

    auto operator()(Storage& s, operation_watcher::event e) const {
        return std::tuple<boost::system::error_code>(
            e == operation_watcher::event::dismissed
                ? boost::system::error_code(boost::asio::error::operation_aborted)
                : s.error());
    }
};

/// Makes those of a handler that waits for the next change.
template <class Storage>
struct change_arguments {
    static constexpr auto what = operation_watcher::wants::next_change;

    auto operator()(Storage& s, operation_watcher::event) const {
        return std::tuple<operation_state>(s.state());
    }
};

/// A watcher that is told once and then calls a completion handler.
template <class Storage, class Arguments, class Handler, class Allocator>
class handler_watcher final : public operation_watcher {
    using place = watch_executor_of<Handler>;

public:
    handler_watcher(core_ptr<Storage> s, Handler&& h, const Allocator& a)
        : operation_watcher(Arguments::what, place::inline_only, &handler_watcher::told,
                            &handler_watcher::complete),
          storage_(std::move(s)),
          place_(boost::asio::get_associated_executor(h)),
          handler_(std::move(h)),
          allocator_(a) {
        connect_watch(handler_, *storage_, *this);
    }

    /// Begins to watch. Where the operation has gone that far already, the handler goes its way.
    static void start(core_ptr<Storage> s, Handler&& h, const std::uint32_t* seen) {
        const auto a = operation_allocator<boost::asio::associated_allocator_t<Handler>>::from(
            boost::asio::get_associated_allocator(h));
        Storage& core = *s;
        auto* const w = make_operation_node<handler_watcher>(a, std::move(s), std::move(h), a);
        if (!core.add(*w, seen)) {
            told(w, event::ended);
        }
    }

private:
    static void told(operation_watcher* w, event e) noexcept {
        auto* const self = static_cast<handler_watcher*>(w);
        self->event_ = e;
        if constexpr (place::inline_only) {
            finish(self, action::complete);
        } else {
            if (const executor* const ex = self->place_.engine_executor()) {
                self->level_ = executor_access::level_of(*ex);
                engine::post(executor_access::engine_of(*ex), self);
                return;
            }
            place where(std::move(self->place_));
            const auto a = boost::asio::get_associated_allocator(self->handler_);
            where.post(posted{self}, a);
        }
    }

    static void complete(operation* base, action what) {
        finish(static_cast<handler_watcher*>(base), what);
    }

    static void finish(handler_watcher* self, action what) {
        const Allocator a(self->allocator_);
        core_ptr<Storage> storage(std::move(self->storage_));
        const event e = self->event_;
        Handler handler(std::move(self->handler_));
        [[maybe_unused]] const place work(std::move(self->place_));  // until the handler has run
        free_operation_node(self, a);
        if (what == action::destroy) {
            return;
        }
        auto arguments = Arguments{}(*storage, e);
        storage = {};
        std::apply(std::move(handler), std::move(arguments));
    }

    /// The watcher on its way through an executor that is not ours.
    struct posted {
        explicit posted(handler_watcher* w) noexcept : watcher(w) {}
        posted(posted&& other) noexcept : watcher(std::exchange(other.watcher, nullptr)) {}
        ~posted() {
            if (watcher != nullptr) {
                finish(watcher, action::destroy);
            }
        }
        void operator()() { finish(std::exchange(watcher, nullptr), action::complete); }

        handler_watcher* watcher;
    };

    core_ptr<Storage> storage_;
    [[no_unique_address]] place place_;
    Handler handler_;
    [[no_unique_address]] Allocator allocator_;
    event event_ = event::ended;
};

/// Starts a watcher for the handler that it is called with. What `deferred` keeps is this.
template <class Storage, class Arguments>
class initiate_watch {
public:
    explicit initiate_watch(Storage& s) noexcept : storage_(core_ptr<Storage>::share(&s)) {}
    initiate_watch(Storage& s, std::uint32_t seen) noexcept
        : storage_(core_ptr<Storage>::share(&s)), seen_(seen) {}

    template <class Handler>
    void operator()(Handler&& h) && {
        start(std::move(storage_), std::forward<Handler>(h));
    }
    template <class Handler>
    void operator()(Handler&& h) const& {
        start(storage_, std::forward<Handler>(h));
    }

private:
    template <class Handler>
    void start(core_ptr<Storage> s, Handler&& h) const {
        using decayed = std::decay_t<Handler>;
        using allocator = std::remove_cvref_t<
            decltype(operation_allocator<boost::asio::associated_allocator_t<decayed>>::from(
                boost::asio::get_associated_allocator(h)))>;
        decayed own(std::forward<Handler>(h));
        handler_watcher<Storage, Arguments, decayed, allocator>::start(std::move(s), std::move(own),
                                                                       seen_ ? &*seen_ : nullptr);
    }

    core_ptr<Storage> storage_;
    std::optional<std::uint32_t> seen_;
};

}  // namespace rung::detail
