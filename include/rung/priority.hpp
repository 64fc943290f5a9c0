#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/prefer.hpp>
#include <concepts>
#include <rung/detail/operation.hpp>

namespace rung {

namespace detail {

/// What `priority` and `io_priority` share: an executor property with one of three levels.
template <class Property>
class level_property {
public:
    template <class T>
    static constexpr bool is_applicable_property_v = boost::asio::execution::is_executor<T>::value;
    static constexpr bool is_requirable = true;
    static constexpr bool is_preferable = true;
    using polymorphic_query_result_type = Property;

    constexpr level_property() noexcept = default;

    /// The level as the engine counts: 0 high, 1 normal, 2 low.
    constexpr level value() const noexcept { return value_; }

    friend constexpr bool operator==(const Property& a, const Property& b) noexcept {
        return a.value() == b.value();
    }

protected:
    constexpr explicit level_property(level l) noexcept : value_(l) {}

private:
    level value_ = level::normal;
};

}  // namespace detail

/// Executor property: the level at which handlers run on the CPU.
///
/// `priority::high` runs before `priority::normal` (the default), and that before `priority::low`; a
/// waiting lower level runs at least once in `io_context_options::starvation_limit` handlers. Any
/// `asio::prefer` of it on an executor that has no priorities gives that executor back unchanged; on
/// an `any_io_executor` it reaches the `rung::executor` inside.
///
/// Example: `auto urgent = asio::require(ctx.get_executor(), rung::priority::high);`
class priority : public detail::level_property<priority> {
public:
    static const priority high;
    static const priority normal;
    static const priority low;

    constexpr priority() noexcept = default;

    /// Found by `asio::prefer` for exactly `any_io_executor`.
    template <std::same_as<boost::asio::any_io_executor> Executor>
    friend Executor prefer(const Executor& ex, const priority& p) {
        return prefer_inside(ex, p);
    }
    /// Likewise by `asio::query`: normal, if there is none of ours inside.
    template <std::same_as<boost::asio::any_io_executor> Executor>
    friend priority query(const Executor& ex, const priority&) noexcept {
        return query_inside(ex);
    }

private:
    friend class executor;
    constexpr explicit priority(detail::level l) noexcept : level_property(l) {}
    static boost::asio::any_io_executor prefer_inside(const boost::asio::any_io_executor& ex,
                                                      const priority& p);
    static priority query_inside(const boost::asio::any_io_executor& ex) noexcept;
};

inline constexpr priority priority::high{detail::level::high};
inline constexpr priority priority::normal{detail::level::normal};
inline constexpr priority priority::low{detail::level::low};

/// Executor property: the level at which operations reach the kernel.
///
/// Operations of a higher level are submitted first within a batch, and the low level's are held
/// back while `io_context_options::low_io_in_flight` of them are in the kernel.
///
/// Example: `auto bulk = asio::require(ctx.get_executor(), rung::io_priority::low);`
class io_priority : public detail::level_property<io_priority> {
public:
    static const io_priority high;
    static const io_priority normal;
    static const io_priority low;

    constexpr io_priority() noexcept = default;

    /// Found by `asio::prefer` for exactly `any_io_executor`.
    template <std::same_as<boost::asio::any_io_executor> Executor>
    friend Executor prefer(const Executor& ex, const io_priority& p) {
        return prefer_inside(ex, p);
    }
    /// Likewise by `asio::query`: normal, if there is none of ours inside.
    template <std::same_as<boost::asio::any_io_executor> Executor>
    friend io_priority query(const Executor& ex, const io_priority&) noexcept {
        return query_inside(ex);
    }

private:
    friend class executor;
    constexpr explicit io_priority(detail::level l) noexcept : level_property(l) {}
    static boost::asio::any_io_executor prefer_inside(const boost::asio::any_io_executor& ex,
                                                      const io_priority& p);
    static io_priority query_inside(const boost::asio::any_io_executor& ex) noexcept;
};

inline constexpr io_priority io_priority::high{detail::level::high};
inline constexpr io_priority io_priority::normal{detail::level::normal};
inline constexpr io_priority io_priority::low{detail::level::low};

/// The same executor at another priority: of a `rung::executor`, a `strand` over one, or an
/// `any_io_executor` that holds either a `rung::executor` or a strand over one. Any other executor
/// comes back unchanged.
///
/// Example: `asio::co_spawn(rung::with_priority(socket.get_executor(), rung::priority::high), f(), asio::detached);`
template <class Executor>
auto with_priority(const Executor& ex, priority p) {
    return boost::asio::prefer(ex, p);
}

}  // namespace rung
