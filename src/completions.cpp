#include <mutex>
#include <rung/completions.hpp>

namespace rung::detail {

/// One who asks for the next end.
struct completion_queue::request {
    operation_source<std::size_t> source;
    request* next = nullptr;
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
            first_ = served->next;
            if (first_ == nullptr) {
                last_ = &first_;
            }
        }
    }
    if (served != nullptr) {
        served->source.set_done(static_cast<std::size_t>(&w - watchers_));
        delete served;
        release();
    }
    release();
}

rung::operation<std::size_t> completion_queue::next() {
    auto [source, op] = make_operation<std::size_t>();
    auto r = std::make_unique<request>();
    request* const waiting = r.get();
    // Before anybody may serve the request, and so end it.
    source.on_cancel([this, waiting] { cancel(waiting); });
    operation_watcher* ready = nullptr;
    bool over = false;
    {
        const std::lock_guard lock(lock_);
        over = asked_ == count_;
        if (!over) {
            ++asked_;
            ready = ended_.pop();
            if (ready == nullptr) {
                references_.fetch_add(1, std::memory_order_relaxed);
                r->source = std::move(source);
                *last_ = r.release();
                last_ = &waiting->next;
            }
        }
    }
    if (over) {
        source.set_failed(boost::asio::error::eof);
    } else if (ready != nullptr) {
        source.set_done(static_cast<std::size_t>(static_cast<join_watcher*>(ready) - watchers_));
    }
    return std::move(op);
}

/// Takes a request back. Whoever serves it at the same time waits, before it frees the request, for
/// this to be over.
void completion_queue::cancel(request* r) noexcept {
    {
        const std::lock_guard lock(lock_);
        request** at = &first_;
        while (*at != nullptr && *at != r) {
            at = &(*at)->next;
        }
        if (*at == nullptr) {
            return;  // served
        }
        *at = r->next;
        if (last_ == &r->next) {
            last_ = at;
        }
        --asked_;
    }
    r->source.set_cancelled();
    delete r;
    release();
}

void completion_queue::close() noexcept {
    request* unserved = nullptr;
    {
        const std::lock_guard lock(lock_);
        unserved = std::exchange(first_, nullptr);
        last_ = &first_;
    }
    while (unserved != nullptr) {
        delete std::exchange(unserved, unserved->next);
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
