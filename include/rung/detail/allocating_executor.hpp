#pragma once

#include <boost/asio/execution.hpp>
#include <concepts>
#include <rung/executor.hpp>
#include <utility>

namespace rung {

class io_context;

namespace detail {

/// What `asio::require` of an allocator other than `std::allocator` makes of a `rung::executor` or
/// a `rung::fiber_executor`: the executor with the allocator beside it.
///
/// Asio makes one for the length of an initiating call, so that what is submitted lies in memory of
/// its handler's allocator. Thread-safety: as the executor.
template <class Executor, class Allocator>
class allocating_executor {
public:
    allocating_executor(const Executor& inner, const Allocator& a) noexcept
        : inner_(inner), allocator_(a) {}

    template <class Function>
    void execute(Function&& f) const {
        inner_.execute_with(std::forward<Function>(f), allocator_);
    }

    io_context& context() const noexcept { return inner_.context(); }
    bool running_in_this_thread() const noexcept { return inner_.running_in_this_thread(); }

    friend bool operator==(const allocating_executor& a, const allocating_executor& b) noexcept {
        return a.inner_ == b.inner_ && a.allocator_ == b.allocator_;
    }

    template <class Property>
    requires requires(const Executor& ex, const Property& p) {
        { ex.require(p) } -> std::same_as<Executor>;
    }
    allocating_executor require(const Property& p) const {
        return {inner_.require(p), allocator_};
    }
    Executor require(boost::asio::execution::allocator_t<void>) const { return inner_; }
    template <class Other>
    auto require(boost::asio::execution::allocator_t<Other> a) const {
        return inner_.require(a);
    }

    static constexpr boost::asio::execution::mapping_t query(
        boost::asio::execution::mapping_t m) noexcept {
        return Executor::query(m);
    }
    // Not of mapping's properties, for which it would be chosen where Asio asks the class itself.
    template <class Property>
    requires(!std::convertible_to<Property, boost::asio::execution::mapping_t> &&
             requires(const Executor& ex, const Property& p) { ex.query(p); })
    decltype(auto) query(const Property& p) const { return inner_.query(p); }
    template <class Other>
    Allocator query(boost::asio::execution::allocator_t<Other>) const noexcept {
        return allocator_;
    }

    // The older executor interface.
    void on_work_started() const noexcept { inner_.on_work_started(); }
    void on_work_finished() const noexcept { inner_.on_work_finished(); }
    template <class Function, class Other>
    void dispatch(Function&& f, const Other& a) const {
        inner_.dispatch(std::forward<Function>(f), a);
    }
    template <class Function, class Other>
    void post(Function&& f, const Other& a) const {
        inner_.post(std::forward<Function>(f), a);
    }
    template <class Function, class Other>
    void defer(Function&& f, const Other& a) const {
        inner_.defer(std::forward<Function>(f), a);
    }

private:
    Executor inner_;
    [[no_unique_address]] Allocator allocator_;
};

}  // namespace detail

template <class Allocator>
detail::allocating_executor<executor, Allocator> executor::require(
    boost::asio::execution::allocator_t<Allocator> a) const noexcept {
    return {*this, a.value()};
}

}  // namespace rung
