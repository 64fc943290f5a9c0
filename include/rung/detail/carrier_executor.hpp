#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <concepts>
#include <memory>
#include <rung/executor.hpp>
#include <rung/io_context.hpp>
#include <rung/priority.hpp>
#include <type_traits>
#include <utility>

namespace rung::detail {

/// The executor on which a fiber runs: a `rung::executor`, which costs nothing more, or any other.
///
/// Properties are those of the executor inside; what it does not have, `require` leaves out. Copies
/// of another executor share it. Thread-safety: as `rung::executor`.
class carrier_executor {
    using any_executor = boost::asio::any_io_executor;
    /// An executor that is not ours, and what nobody can ask it once its type is erased.
    struct foreign_executor {
        any_executor any;
        priority at;
        io_priority io_at;
    };
    using shared_foreign = std::shared_ptr<const foreign_executor>;

public:
    template <class Executor>
    requires(!std::same_as<Executor, carrier_executor>)
    explicit carrier_executor(const Executor& ex)
        : native_(native_in(ex)), other_(other_in(ex)) {}

    /// The `rung::executor` inside, or null.
    const executor* native() const noexcept { return other_ == nullptr ? &native_ : nullptr; }
    /// The other executor inside. Precondition: there is no `rung::executor`.
    const any_executor& other() const noexcept { return other_->any; }
    any_executor any() const {
        if (const executor* const ex = native()) {
            return *ex;
        }
        return other();
    }

    boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept;

    template <class Function>
    void execute(Function&& f) const {
        if (const executor* const ex = native()) {
            ex->execute(std::forward<Function>(f));
        } else {
            other().execute(std::forward<Function>(f));
        }
    }

    friend bool operator==(const carrier_executor& a, const carrier_executor& b) noexcept {
        const executor* const x = a.native();
        const executor* const y = b.native();
        if (x != nullptr || y != nullptr) {
            return x != nullptr && y != nullptr && *x == *y;
        }
        return a.other() == b.other();
    }

    carrier_executor require(boost::asio::execution::blocking_t::never_t p) const {
        if (const executor* const ex = native()) {
            return carrier_executor(ex->require(p));
        }
        return carrier_executor(boost::asio::require(other(), p));
    }
    carrier_executor require(boost::asio::execution::blocking_t::possibly_t p) const {
        return prefer(p);
    }
    carrier_executor require(boost::asio::execution::relationship_t::fork_t p) const {
        return prefer(p);
    }
    carrier_executor require(boost::asio::execution::relationship_t::continuation_t p) const {
        return prefer(p);
    }
    carrier_executor require(boost::asio::execution::outstanding_work_t::tracked_t p) const {
        return prefer(p);
    }
    carrier_executor require(boost::asio::execution::outstanding_work_t::untracked_t p) const {
        return prefer(p);
    }
    carrier_executor require(priority p) const { return prefer(p); }
    carrier_executor require(io_priority p) const { return prefer(p); }

    static constexpr boost::asio::execution::mapping_t query(
        boost::asio::execution::mapping_t) noexcept {
        return boost::asio::execution::mapping.thread;
    }
    boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const {
        return ask<boost::asio::execution::blocking_t>(boost::asio::execution::blocking.possibly);
    }
    boost::asio::execution::relationship_t query(boost::asio::execution::relationship_t) const {
        return ask<boost::asio::execution::relationship_t>(
            boost::asio::execution::relationship.fork);
    }
    boost::asio::execution::outstanding_work_t query(
        boost::asio::execution::outstanding_work_t) const {
        return ask<boost::asio::execution::outstanding_work_t>(
            boost::asio::execution::outstanding_work.untracked);
    }
    priority query(priority p) const noexcept {
        const executor* const ex = native();
        return ex != nullptr ? ex->query(p) : other_->at;
    }
    io_priority query(io_priority p) const noexcept {
        const executor* const ex = native();
        return ex != nullptr ? ex->query(p) : other_->io_at;
    }

private:
    template <class Executor>
    static const executor* find_native(const Executor& ex) noexcept {
        if constexpr (std::is_base_of_v<executor, Executor>) {
            return &ex;
        } else if constexpr (std::same_as<Executor, any_executor>) {
            return ex.template target<executor>();
        } else {
            return nullptr;
        }
    }
    template <class Executor>
    static executor native_in(const Executor& ex) noexcept {
        const executor* const found = find_native(ex);
        return found != nullptr ? *found : executor_access::none();
    }
    template <class Executor>
    static shared_foreign other_in(const Executor& ex) {
        if (find_native(ex) != nullptr) {
            return nullptr;
        }
        return std::make_shared<const foreign_executor>(foreign_executor{
            any_executor(ex), level_in<priority>(ex), level_in<io_priority>(ex)});
    }
    /// That of an executor of ours within, or the default.
    template <class Property, class Executor>
    static Property level_in(const Executor& ex) noexcept {
        if constexpr (boost::asio::can_query_v<Executor, Property>) {
            return boost::asio::query(ex, Property());
        } else {
            return Property();
        }
    }
    template <class Property>
    carrier_executor prefer(const Property& p) const {
        if (const executor* const ex = native()) {
            return carrier_executor(ex->require(p));
        }
        return carrier_executor(boost::asio::prefer(other(), p));
    }
    /// An `any_io_executor` can be asked only for single values: whether it has `value`.
    template <class Property, class Value>
    Property ask(const Value& value) const {
        if (const executor* const ex = native()) {
            return ex->query(Property());
        }
        return boost::asio::query(other(), value);
    }

    executor native_;       // none() if there is another
    shared_foreign other_;  // null for a rung::executor
};

}  // namespace rung::detail
