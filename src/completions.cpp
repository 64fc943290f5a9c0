#include <mutex>
#include <rung/completions.hpp>

namespace rung::detail {

/// One who asks for the next end: the operation that `next` gives.
class completion_queue::request : public operation_storage<std::size_t, void>, private cancel_hook {
public:
    request(destroy_function d, operation_state s, completion_queue& q)
        : operation_storage<std::size_t, void>(d, s), cancel_hook(&request::acted), queue_(q) {
        set_first_hook(*this);
    }

    /// The end of it that its maker, and then the queue, holds.
    operation_source<std::size_t> source() noexcept {
        return operation_access::make_source<std::size_t, void>(this);
    }

    // Guarded by the queue's lock.
    bool waits = false;
    request* before = nullptr;
    request* after = nullptr;

private:
    static void acted(cancel_hook* hook, action what) noexcept {
        auto& self = *static_cast<request*>(hook);
        if (what == action::run) {
            self.queue_.cancel(self);
        }
    }

    completion_queue& queue_;  // while it waits
};

void completion_queue::begin(join_watcher* watchers, std::size_t count) {
    watchers_ = watchers;
    count_ = count;
    references_.store(count + 1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < count; ++i) {
        watchers[i].owner = this;
        watchers[i].notify = &completion_queue::told;
        if (!core_at(i).add(watchers[i])) {
            ended(watchers[i]);
        }
    }
}

void completion_queue::told(operation_watcher* w, operation_watcher::event) noexcept {
    auto* const watcher = static_cast<join_watcher*>(w);
    static_cast<completion_queue*>(watcher->owner)->ended(*watcher);
}

void completion_queue::ended(join_watcher& w) noexcept {
    request* served = nullptr;
    {
        const std::lock_guard lock(lock_);
        served = first_;
        if (served == nullptr) {
            ended_.push(&w);
        } else {
            remove(*served);
        }
    }
    if (served != nullptr) {
        // Waits for a request to take it back that finds it served, and needs the queue until then.
        served->source().set_done(static_cast<std::size_t>(&w - watchers_));
        release();
    }
    release();
}

rung::operation<std::size_t> completion_queue::next() {
    using storage = allocated_storage<request, recycling_allocator<void>>;
    request* const r = storage::make(recycling_allocator<void>(), operation_state::pending, *this);
    auto op = operation_access::make_client<std::size_t, void>(r);
    operation_watcher* ready = nullptr;
    {
        const std::lock_guard lock(lock_);
        if (asked_ == count_) {
            // All are told of or asked for.
        } else if (++asked_; (ready = ended_.pop()) == nullptr) {
            references_.fetch_add(1, std::memory_order_relaxed);
            r->waits = true;
            r->before = last_;
            (last_ == nullptr ? first_ : last_->after) = r;
            last_ = r;
            return op;
        }
    }
    if (ready == nullptr) {
        r->source().set_failed(boost::asio::error::eof);
    } else {
        r->source().set_done(
            static_cast<std::size_t>(static_cast<join_watcher*>(ready) - watchers_));
    }
    return op;
}

/// Takes a request off the list. Under the lock.
void completion_queue::remove(request& r) noexcept {
    (r.before == nullptr ? first_ : r.before->after) = r.after;
    (r.after == nullptr ? last_ : r.after->before) = r.before;
    r.waits = false;
}

/// Takes a request back. Whoever serves it at the same time waits for this to be over.
void completion_queue::cancel(request& r) noexcept {
    {
        const std::lock_guard lock(lock_);
        if (!r.waits) {
            return;  // served
        }
        remove(r);
        --asked_;
    }
    r.source().set_cancelled();
    release();
}

void completion_queue::close() noexcept {
    for (;;) {
        request* unserved = nullptr;
        {
            const std::lock_guard lock(lock_);
            unserved = first_;
            if (unserved == nullptr) {
                break;
            }
            remove(*unserved);
        }
        static_cast<void>(unserved->source());  // abandoned
        release();
    }
    release();
}

void completion_queue::release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

}  // namespace rung::detail
