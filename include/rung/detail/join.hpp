#pragma once

#include <atomic>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <rung/operation.hpp>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rung::detail {

/// Tells the owner of several operations of the end of one.
class join_watcher : public operation_watcher {
public:
    join_watcher() noexcept;

    void* owner = nullptr;
};

/// What `all` and `any` share: counts the ends of a number of operations, and asks the rest to end
/// once one of them has decided the outcome. The last end completes the join.
class join : private cancel_hook {
public:
    static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

    join(const join&) = delete;
    join& operator=(const join&) = delete;

protected:
    /// What decides the outcome: for `all` an end that is not done, for `any` one that is.
    enum class rule : bool { all, any };

    explicit join(rule r) noexcept : cancel_hook(&join::acted), rule_(r) {}
    ~join() = default;

    /// Watches `count` operations, by the watchers given. The hook becomes the outcome's own.
    void begin(operation_core& outcome, join_watcher* watchers, std::size_t count);

    /// The operation that decided, or that ended first where none did.
    std::size_t decisive() const noexcept {
        const std::size_t d = decisive_.load(std::memory_order_relaxed);
        return d != nobody ? d : first_.load(std::memory_order_relaxed);
    }
    bool decided() const noexcept { return decisive_.load(std::memory_order_relaxed) != nobody; }
    /// Whether the outcome is a value.
    bool succeeded() const noexcept { return decided() == (rule_ == rule::any); }
    /// The operation whose end is being told, or `nobody`.
    std::size_t told_last() const noexcept { return told_last_; }

private:
    friend class join_watcher;

    virtual operation_core& core_at(std::size_t i) const noexcept = 0;
    virtual void complete() noexcept = 0;

    static void told(operation_watcher* w, operation_watcher::event e) noexcept;
    static void acted(cancel_hook* hook, action what) noexcept;
    void ended(std::size_t i, bool now) noexcept;
    void leave(std::size_t i) noexcept;
    void cancel_all() noexcept;

    const rule rule_;
    join_watcher* watchers_ = nullptr;
    std::size_t count_ = 0;
    std::size_t told_last_ = nobody;  // written by the last to leave
    std::atomic<std::size_t> left_{0};
    std::atomic<std::size_t> decisive_{nobody};
    std::atomic<std::size_t> first_{nobody};
};

/// The value of an operation in a join; void is `std::monostate`.
template <class T>
using joined_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// Takes the value of an operation that is done. `in_call`: its source still holds its reference,
/// as this is within its last call.
template <class T, class Progress>
joined_value<T> take_value(const rung::operation<T, Progress>& op, bool in_call) {
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        auto& s = operation_access::storage_of(op);
        return s.value.give(s.references() <= (in_call ? 2U : 1U));
    }
}

/// A join over operations of any types, with its result `T`.
template <class T, class Operations>
class join_storage : public operation_storage<T, void>, protected join {
protected:
    join_storage(operation_core::destroy_function d, operation_state s, rule r, Operations&& ops)
        : operation_storage<T, void>(d, s), join(r), operations_(std::move(ops)) {}

    void start() { begin(*this, operations_.watchers(), operations_.size()); }

    /// Builds the value of a success.
    virtual void emplace_value() = 0;

    Operations operations_;

private:
    operation_core& core_at(std::size_t i) const noexcept final { return operations_.core_at(i); }

    void complete() noexcept final {
        operation_state end = operation_state::done;
        if (succeeded()) {
            try {
                emplace_value();
            } catch (...) {
                this->set_exception(std::current_exception());
                end = operation_state::failed;
            }
        } else {
            const operation_core& cause = operations_.core_at(decisive());
            this->set_error_of(cause);
            end = cause.state();
        }
        this->finish(end);
        this->release();
    }
};

/// A pack of operations with their watchers.
template <class... Operations>
class joined_pack {
public:
    explicit joined_pack(Operations&&... ops) noexcept : operations_(std::move(ops)...) {}
    joined_pack(joined_pack&& other) noexcept : operations_(std::move(other.operations_)) {}

    static constexpr std::size_t size() noexcept { return sizeof...(Operations); }
    join_watcher* watchers() noexcept { return watchers_; }
    operation_core& core_at(std::size_t i) const noexcept {
        operation_core* found = nullptr;
        visit(i, [&](const auto& op) { found = &operation_access::storage_of(op); });
        return *found;
    }
    template <std::size_t I>
    const auto& get() const noexcept {
        return std::get<I>(operations_);
    }

private:
    template <class F>
    void visit(std::size_t i, F f) const {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            static_cast<void>(((i == I && (f(std::get<I>(operations_)), true)) || ...));
        }
        (std::index_sequence_for<Operations...>{});
    }

    std::tuple<Operations...> operations_;
    join_watcher watchers_[sizeof...(Operations)];
};

/// A range of operations with their watchers.
template <class Operation>
class joined_range {
public:
    explicit joined_range(std::vector<Operation>&& ops)
        : operations_(std::move(ops)), watchers_(new join_watcher[operations_.size()]) {}
    joined_range(joined_range&&) noexcept = default;

    std::size_t size() const noexcept { return operations_.size(); }
    join_watcher* watchers() noexcept { return watchers_.get(); }
    operation_core& core_at(std::size_t i) const noexcept {
        return operation_access::storage_of(operations_[i]);
    }
    const Operation& operator[](std::size_t i) const noexcept { return operations_[i]; }
    Operation& mutable_at(std::size_t i) noexcept { return operations_[i]; }

private:
    std::vector<Operation> operations_;
    std::unique_ptr<join_watcher[]> watchers_;
};

template <class T>
inline constexpr bool is_operation = false;
template <class T, class Progress>
inline constexpr bool is_operation<rung::operation<T, Progress>> = true;

/// Ranges whose elements are operations.
template <class R>
concept operation_range =
    std::ranges::input_range<R> && is_operation<std::ranges::range_value_t<R>>;

/// Takes the operations out of a range.
template <operation_range R>
std::vector<std::ranges::range_value_t<R>> take_operations(R&& range) {
    using element = std::ranges::range_value_t<R>;
    if constexpr (std::is_same_v<R, std::vector<element>>) {
        return std::move(range);
    } else {
        std::vector<element> ops;
        if constexpr (std::ranges::sized_range<R>) {
            ops.reserve(static_cast<std::size_t>(std::ranges::size(range)));
        }
        for (auto at = std::ranges::begin(range); at != std::ranges::end(range); ++at) {
            ops.push_back(std::ranges::iter_move(at));
        }
        return ops;
    }
}

/// Makes a join `Storage<T, Operations>` and starts it.
template <template <class, class> class Storage, class T, class Operations>
rung::operation<T> make_join(Operations&& ops) {
    using storage = Storage<T, std::decay_t<Operations>>;
    using allocator = recycling_allocator<void>;
    auto* const s = allocated_storage<storage, allocator>::make(
        allocator(), operation_state::running, std::move(ops));
    rung::operation<T> op = operation_access::make_client<T, void>(s);
    s->run();
    return op;
}

}  // namespace rung::detail
