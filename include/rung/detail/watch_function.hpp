#pragma once

#include <atomic>
#include <boost/assert.hpp>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/operation_watch.hpp>

namespace rung::detail {

/// A change as it was, for a function that wants each. `Progress` may be void.
template <class Progress>
struct change_record {
    operation_state state;
    Progress progress;
    change_record* next = nullptr;
};
template <>
struct change_record<void> {
    operation_state state;
    change_record* next = nullptr;
};

/// Reads an operation as a record.
template <class T, class Progress>
change_record<Progress> record_of(const operation_storage<T, Progress>& s) {
    const operation_state state = s.state();  // first, so that the end comes with the last progress
    if constexpr (std::is_void_v<Progress>) {
        return {state};
    } else {
        return {state, s.progress.load()};
    }
}

/// Records of changes on their way from the producer to the function.
template <class Progress>
class change_queue {
    using record = change_record<Progress>;

public:
    change_queue() = default;
    change_queue(const change_queue&) = delete;
    change_queue& operator=(const change_queue&) = delete;
    ~change_queue() {
        while (record* const r = pop()) {
            free(r);
        }
    }

    void push(record&& value) {
        record* const r =
            make_operation_node<record>(recycling_allocator<record>(), std::move(value));
        lock_.lock();
        *last_ = r;
        last_ = &r->next;
        lock_.unlock();
    }
    record* pop() noexcept {
        lock_.lock();
        record* const r = first_;
        if (r != nullptr) {
            first_ = r->next;
            if (first_ == nullptr) {
                last_ = &first_;
            }
        }
        lock_.unlock();
        return r;
    }
    static void free(record* r) noexcept { free_operation_node(r, recycling_allocator<record>()); }

private:
    short_lock lock_;
    record* first_ = nullptr;  // guarded by lock_
    record** last_ = &first_;  // guarded by lock_
};

/// A watcher that calls a function at every change, on the function's executor.
///
/// It lives while it is on the operation's list, while it is told of something, and while it is in
/// its executor's queue, where it is once at most.
template <class Storage, class Progress, class F>
class function_watcher final : public operation_watcher {
    using place = watch_executor_of<F>;
    using record = change_record<Progress>;

public:
    function_watcher(core_ptr<Storage> s, F&& f, delivery how)
        : operation_watcher(wants::every_change, place::inline_only, &function_watcher::told,
                            &function_watcher::unused),
          storage_(std::move(s)),
          place_(boost::asio::get_associated_executor(f)),
          how_(how),
          function_(std::move(f)) {
        connect_watch(function_, *storage_, *this);
    }

    static void start(core_ptr<Storage> s, F&& f, delivery how) {
        Storage& core = *s;
        const recycling_allocator<function_watcher> a;
        auto* const w = make_operation_node<function_watcher>(a, std::move(s), std::move(f), how);
        if (!core.add(*w)) {
            told(w, event::ended);
        }
    }

private:
    static void unused(operation*, action) { BOOST_ASSERT(false); }

    void add_user() noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
    void drop_user() noexcept {
        if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            free_operation_node(this, recycling_allocator<function_watcher>());
        }
    }

    static void told(operation_watcher* w, event e) noexcept {
        auto* const self = static_cast<function_watcher*>(w);
        switch (e) {
            case event::hold:
                return self->add_user();
            case event::let_go:
                return self->drop_user();
            case event::changed:
                return self->note();
            case event::ended:
                self->note();
                return self->drop_user();  // it has left the list
            case event::dismissed:
                self->dismissed_.store(true, std::memory_order_release);
                return self->drop_user();
        }
    }
    void note() {
        if constexpr (place::inline_only) {
            deliver(record_of(*storage_));
        } else {
            if (how_ == delivery::each) {
                queue_.push(record_of(*storage_));
            }
            schedule();
        }
    }

    /// Has the executor call the function, unless that is under way and will see what is new.
    void schedule() {
        if (turn_.fetch_add(1, std::memory_order_acq_rel) == 0) {
            add_user();
            post();
        }
    }
    void post() {
        const auto a = boost::asio::get_associated_allocator(function_);
        place_.post(posted{this}, a);
    }
    void run() {
        const turn_end end{this, turn_.load(std::memory_order_acquire)};
        if (how_ == delivery::each) {
            while (record* const r = queue_.pop()) {
                const record value = std::move(*r);
                change_queue<Progress>::free(r);
                deliver(value);
            }
        } else {
            deliver(record_of(*storage_));
        }
    }
    /// Ends a turn on the executor, by an exception of the function, too.
    struct turn_end {
        function_watcher* watcher;
        std::uint32_t seen;

        ~turn_end() {
            if (watcher->turn_.fetch_sub(seen, std::memory_order_acq_rel) != seen) {
                watcher->post();
            } else {
                watcher->drop_user();
            }
        }
    };
    void deliver(const record& r) {
        // The end may have been delivered as the latest before it was told.
        if (!ended_ && !dismissed_.load(std::memory_order_acquire)) {
            ended_ = is_final(r.state);
            call(r);
        }
    }
    void call(const record& r) {
        if constexpr (std::is_void_v<Progress>) {
            function_(r.state);
        } else {
            function_(r.state, r.progress);
        }
    }

    struct posted {
        explicit posted(function_watcher* w) noexcept : watcher(w) {}
        posted(posted&& other) noexcept : watcher(std::exchange(other.watcher, nullptr)) {}
        ~posted() {
            if (watcher != nullptr) {
                watcher->drop_user();
            }
        }
        void operator()() { std::exchange(watcher, nullptr)->run(); }

        function_watcher* watcher;
    };

    core_ptr<Storage> storage_;
    [[no_unique_address]] place place_;
    const delivery how_;
    bool ended_ = false;  // where it is called
    std::atomic<bool> dismissed_{false};
    std::atomic<std::uint32_t> users_{1};  // the list's first
    std::atomic<std::uint32_t> turn_{0};   // times that it was told since it last had run
    change_queue<Progress> queue_;
    F function_;
};

/// Calls `f` at every change of the operation.
template <class T, class Progress, class F>
void watch_changes(operation_storage<T, Progress>& s, F&& f, delivery how) {
    using storage = operation_storage<T, Progress>;
    using function = std::decay_t<F>;
    function_watcher<storage, Progress, function>::start(core_ptr<storage>::share(&s),
                                                         function(std::forward<F>(f)), how);
}

}  // namespace rung::detail
