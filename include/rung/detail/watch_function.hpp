#pragma once

#include <atomic>
#include <boost/assert.hpp>
#include <mutex>
#include <optional>
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
/// Its memory lives while it is on the operation's list, while it is told of something, while it is
/// in its executor's queue, where it is once at most, and while a cancellation slot knows of it.
/// Function and executor go earlier: when the end was delivered or the watching was stopped, as
/// soon as nobody uses them. So whoever has stopped it may destroy the executor's context, whatever
/// the producer does meanwhile.
template <class Storage, class Progress, class F>
class function_watcher final : public operation_watcher {
    using place = watch_executor_of<F>;
    using record = change_record<Progress>;

public:
    function_watcher(core_ptr<Storage> s, F&& f, delivery how)
        : operation_watcher(wants::every_change, place::inline_only, &function_watcher::told,
                            &function_watcher::unused),
          storage_(*s),
          how_(how),
          parts_(std::in_place, std::move(s), std::move(f)) {}

    static void start(core_ptr<Storage> s, F&& f, delivery how) {
        Storage& core = *s;
        auto slot = boost::asio::get_associated_cancellation_slot(f);
        const recycling_allocator<function_watcher> a;
        auto* const w = make_operation_node<function_watcher>(a, std::move(s), std::move(f), how);
        if (slot.is_connected()) {
            try {
                slot.template emplace<stopper>(*w);
            } catch (...) {
                w->drop_user();
                throw;
            }
        }
        if (!core.add(*w)) {
            told(w, event::ended);
        }
    }

private:
    /// What goes before the memory.
    struct parts {
        parts(core_ptr<Storage>&& s, F&& f)
            : storage(std::move(s)),
              where(boost::asio::get_associated_executor(f)),
              function(std::move(f)) {}

        core_ptr<Storage> storage;
        [[no_unique_address]] place where;
        F function;
    };
    /// What is in the cancellation slot.
    class stopper {
    public:
        explicit stopper(function_watcher& w) noexcept : watcher_(w) { w.add_user(); }
        stopper(const stopper&) = delete;
        stopper& operator=(const stopper&) = delete;
        ~stopper() { watcher_.drop_user(); }

        void operator()(boost::asio::cancellation_type_t type) noexcept {
            if (type != boost::asio::cancellation_type::none) {
                watcher_.stop();
            }
        }

    private:
        function_watcher& watcher_;
    };

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
                BOOST_ASSERT(false);  // it knows no link
        }
    }

    /// Has the function called, unless that is under way and will see what is new.
    void note() {
        if (stopped_.load(std::memory_order_acquire)) {
            return;
        }
        if constexpr (!place::inline_only) {
            if (how_ == delivery::each) {
                queue_.push(record_of(storage_));
            }
        }
        {
            const std::lock_guard lock(lock_);
            news_ = true;
            if (stopped_.load(std::memory_order_relaxed) || std::exchange(busy_, true)) {
                return;
            }
            begin_post();
        }
        add_user();  // the turn's
        post();
    }
    void begin_post() noexcept {
        if constexpr (!place::inline_only) {
            posting_.fetch_add(1, std::memory_order_relaxed);
        }
    }
    /// Brings about a turn of the function. After `begin_post`, with `busy_` set.
    void post() {
        if constexpr (place::inline_only) {
            run();
        } else {
            add_user();  // the turn may be over before the call returns
            const auto a = boost::asio::get_associated_allocator(parts_->function);
            parts_->where.post(posted{this}, a);
            end_post();
            drop_user();
        }
    }
    /// While we post, nobody else frees the parts, and stop() waits: so also until we have.
    void end_post() noexcept {
        bool last = false;
        {
            const std::lock_guard lock(lock_);
            last = is_over(1);
            let_go_ |= last;
            if (!last) {
                posting_.fetch_sub(1, std::memory_order_seq_cst);
            }
        }
        if (last) {
            parts_.reset();
            posting_.fetch_sub(1, std::memory_order_seq_cst);
        }
        posting_.notify_all();  // in one order with the subtraction, and stop() with both
    }
    void run() {
        const turn_end end{this};
        {
            const std::lock_guard lock(lock_);
            news_ = false;
        }
        if (!place::inline_only && how_ == delivery::each) {
            while (record* const r = queue_.pop()) {
                const record value = std::move(*r);
                change_queue<Progress>::free(r);
                deliver(value);
            }
        } else {
            deliver(record_of(storage_));
        }
    }
    void deliver(const record& r) {
        if (stopped_.load(std::memory_order_acquire)) {
            return;
        }
        if (is_final(r.state)) {
            stopped_.store(true, std::memory_order_release);  // it may be told of the end again
        }
        if constexpr (std::is_void_v<Progress>) {
            parts_->function(r.state);
        } else {
            parts_->function(r.state, r.progress);
        }
    }
    /// Ends a turn, by an exception of the function, too.
    struct turn_end {
        function_watcher* watcher;
        ~turn_end() { watcher->end_turn(); }
    };
    void end_turn() noexcept {
        bool again = false;
        {
            const std::lock_guard lock(lock_);
            again = news_ && !stopped_.load(std::memory_order_relaxed);
            busy_ = again;
            if (again) {
                begin_post();
            }
        }
        if (again) {
            return post();
        }
        let_go_if_over();
        drop_user();
    }
    /// The executor's context goes, with the turn that was to come.
    void lose_turn() noexcept {
        {
            const std::lock_guard lock(lock_);
            stopped_.store(true, std::memory_order_relaxed);
            busy_ = false;
        }
        let_go_if_over();
        drop_user();
    }

    /// Ends the watching: nobody goes to the executor from now on, nor still does, on return.
    void stop() noexcept {
        core_ptr<Storage> core;
        {
            const std::lock_guard lock(lock_);
            stopped_.store(true, std::memory_order_release);
            if (!let_go_) {
                core = core_ptr<Storage>::share(&storage_);
            }
        }
        while (const std::uint32_t n = posting_.load(std::memory_order_acquire)) {
            posting_.wait(n, std::memory_order_acquire);
        }
        if (core && core->remove(*this)) {
            drop_user();  // the list's; the slot's is left
        }
        let_go_if_over();
    }
    /// Frees all but the memory, if nobody will use it any more.
    void let_go_if_over() noexcept {
        {
            const std::lock_guard lock(lock_);
            if (!is_over(0)) {
                return;
            }
            let_go_ = true;
        }
        parts_.reset();
    }
    /// Under the lock.
    bool is_over(std::uint32_t posting) const noexcept {
        return stopped_.load(std::memory_order_relaxed) && !busy_ && !let_go_ &&
               posting_.load(std::memory_order_acquire) == posting;
    }

    struct posted {
        explicit posted(function_watcher* w) noexcept : watcher(w) {}
        posted(posted&& other) noexcept : watcher(std::exchange(other.watcher, nullptr)) {}
        ~posted() {
            if (watcher != nullptr) {
                watcher->lose_turn();
            }
        }
        void operator()() { std::exchange(watcher, nullptr)->run(); }

        function_watcher* watcher;
    };

    Storage& storage_;  // there while `parts_` is, and while it is told of something
    const delivery how_;
    std::atomic<std::uint32_t> users_{1};    // the list's first
    std::atomic<std::uint32_t> posting_{0};  // threads that hand a turn to the executor
    std::atomic<bool> stopped_{false};       // nothing is delivered any more
    short_lock lock_;
    // Guarded by lock_.
    bool busy_ = false;    // a turn goes on, or is to come
    bool news_ = false;    // since it began
    bool let_go_ = false;  // `parts_` is gone, or going
    change_queue<Progress> queue_;
    std::optional<parts> parts_;  // of turns and those who post them; then of who sets `let_go_`
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
