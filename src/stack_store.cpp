#include "stack_store.hpp"

#include <algorithm>
#include <bit>
#include <boost/system/system_error.hpp>
#include <rung/error.hpp>
#include <string>
#include <utility>

#include "fiber.hpp"

namespace rung::detail {

std::mutex& stack_store::registry_mutex() noexcept {
    static constinit std::mutex mutex;
    return mutex;
}

stack_store*& stack_store::first_store() noexcept {
    static constinit stack_store* first = nullptr;
    return first;
}

stack_store::stack_store(const stack_pool_options& options, stack_memory* memory)
    : memory_(memory != nullptr ? *memory : own_memory_),
      default_size_(stack_pool::smallest << class_of(options.stack_size)),
      options_(options) {
    const std::lock_guard lock(registry_mutex());
    next_ = std::exchange(first_store(), this);
}

stack_store::~stack_store() {
    {
        const std::lock_guard lock(registry_mutex());
        stack_store** at = &first_store();
        while (*at != this) {
            at = &(*at)->next_;
        }
        *at = next_;
    }
    for (size_class& c : classes_) {
        while (c.warm != nullptr) {
            cool(std::exchange(c.warm, c.warm->next));
        }
        while (c.slabs != nullptr) {
            delete std::exchange(c.slabs, c.slabs->next);
        }
    }
}

void stack_store::configure(const stack_pool_options& options) {
    const std::lock_guard lock(mutex_);
    options_ = options;
    keep_at_most(options.keep);
}

std::size_t stack_store::class_of(std::size_t size) {
    if (size > stack_pool::largest) {
        throw boost::system::system_error(
            make_error_code(boost::system::errc::argument_out_of_domain),
            "rung::stack_pool: a stack of " + std::to_string(size) +
                " bytes is larger than stack_pool::largest");
    }
    const std::size_t units = (std::max<std::size_t>(size, 1) - 1) / stack_pool::smallest;
    return static_cast<std::size_t>(std::bit_width(units));
}

stack_store::slot* stack_store::take(std::size_t size) {
    const std::size_t n = class_of(size == 0 ? default_size_ : size);
    std::unique_lock lock(mutex_);
    if (taken_ >= options_.limit) [[unlikely]] {
        lock.unlock();
        give_back_own_idle();
        lock.lock();
        refuse_if_full();
    }
    return take_locked(n);
}

stack_store::slot* stack_store::take_bare(std::size_t size) {
    slot* const s = take(size);
    const std::lock_guard lock(mutex_);
    discard_fiber(s);
    return s;
}

/// Gives back a stack that the calling thread keeps for its next fiber, if there is one.
void stack_store::give_back_own_idle() noexcept {
    fiber_thread& t = this_fiber_thread;
    if (this == &stack_pool::common().store() && t.idle != nullptr) {
        --t.idle_count;
        give(&std::exchange(t.idle, static_cast<fiber*>(t.idle->next_))->slot());
    }
}

void stack_store::refuse_if_full() {
    if (taken_ >= options_.limit && is_full()) {
        ++refused_;
        throw boost::system::system_error(
            error::stack_limit, "rung::stack_pool: all " + std::to_string(options_.limit) +
                                    " stacks are in use; raise stack_pool_options::limit");
    }
}

/// Whether the limit is reached without the stacks that other threads keep idle, and cannot be asked
/// for. Counting them may take a tenth of the time, however often it is asked.
bool stack_store::is_full() noexcept {
    constexpr int others_share = 9;
    if (this != &stack_pool::common().store()) {
        return true;  // nobody keeps stacks of others
    }
    if (const auto begin = clock::now(); begin >= count_at_) {
        cached_ = 0;
        for_each_slot([this](const slot& s) { cached_ += s.in_use && is_idle(s) ? 1 : 0; });
        const auto end = clock::now();
        count_at_ = end + others_share * (end - begin);
    }
    return taken_ - std::min(taken_, cached_) >= options_.limit;
}

bool stack_store::is_idle(const slot& s) noexcept {
    const fiber* const f = s.prepared.load(std::memory_order_acquire);
    return f != nullptr && f->idle();
}

stack_store::slot* stack_store::take_locked(std::size_t n) {
    size_class& c = classes_[n];
    slot* s = c.warm;
    if (s != nullptr) {
        c.warm = s->next;
        --c.warm_count;
    } else {
        s = take_cold(c, stack_pool::smallest << n);
        ++s->slab->busy;
    }
    s->in_use = true;
    most_taken_ = std::max(most_taken_, ++taken_);
    return s;
}

stack_store::slot* stack_store::take_cold(size_class& c, std::size_t stack_size) {
    for (stack_slab* slab = c.slabs; slab != nullptr; slab = slab->next) {
        if (slab->cold != nullptr) {
            return std::exchange(slab->cold, slab->cold->next);
        }
        if (slot* const s = slab->grow()) {
            return s;
        }
    }
    return add_slab(c, stack_size)->grow();
}

stack_slab* stack_store::add_slab(size_class& c, std::size_t stack_size) {
    // As many as there are already, within limits, so that few mappings serve many stacks and few
    // stacks do not map much.
    constexpr std::size_t fewest = 8;
    constexpr std::size_t most = 1024;
    constexpr std::size_t most_bytes = std::size_t{256} << 20;
    const std::size_t wanted = std::clamp(c.slots, fewest, most);
    const std::size_t slots = std::max<std::size_t>(std::min(wanted, most_bytes / stack_size), 1);
    auto slab = std::make_unique<stack_slab>(memory_, stack_size, slots, options_.guard_pages);
    slab->next = c.slabs;
    c.slots += slots;
    return c.slabs = slab.release();
}

void stack_store::give(slot* s) noexcept {
    const std::lock_guard lock(mutex_);
    size_class& c = classes_[class_of(s->slab->stack_size())];
    s->in_use = false;
    --taken_;
    if (c.warm_count < options_.keep) {
        s->next = std::exchange(c.warm, s);
        ++c.warm_count;
        return;
    }
    stack_slab* const slab = s->slab;
    cool(s);
    if (slab->busy == 0) {
        drop_idle_slabs(c);
    }
}

/// Gives the memory of an idle stack back.
void stack_store::cool(slot* s) noexcept {
    s->slab->measure(*s);
    deepest_ = std::max(deepest_, s->deepest);
    discard_fiber(s);
    s->slab->release(*s);
    s->next = std::exchange(s->slab->cold, s);
    --s->slab->busy;
    ++released_;
}

void stack_store::discard_fiber(slot* s) noexcept {
    if (fiber* const f = s->prepared.exchange(nullptr, std::memory_order_relaxed)) {
        fiber::discard(*f);
    }
}

void stack_store::drop_idle_slabs(size_class& c) noexcept {
    for (stack_slab** at = &c.slabs; *at != nullptr;) {
        stack_slab* const slab = *at;
        if (slab->busy == 0) {
            *at = slab->next;
            c.slots -= slab->slots();
            delete slab;
        } else {
            at = &slab->next;
        }
    }
}

void stack_store::trim() noexcept {
    const std::lock_guard lock(mutex_);
    keep_at_most(0);
}

/// Gives the memory of idle stacks back, beyond so many of each size.
void stack_store::keep_at_most(std::size_t keep) noexcept {
    for (size_class& c : classes_) {
        for (; c.warm_count > keep; --c.warm_count) {
            cool(std::exchange(c.warm, c.warm->next));
        }
        drop_idle_slabs(c);
    }
}

stack_store::slot* stack_store::find(const void* address) noexcept {
    const std::lock_guard lock(mutex_);
    for (size_class& c : classes_) {
        for (stack_slab* slab = c.slabs; slab != nullptr; slab = slab->next) {
            if (slot* const s = slab->find(address)) {
                return s;
            }
        }
    }
    return nullptr;
}

bool stack_store::holds(const fiber& f) noexcept {
    bool found = false;
    for_each_store([&](stack_store& store) {
        const slot* const s = store.find(&f);
        found = found || (s != nullptr && s->prepared == &f);
    });
    return found;
}

stack_statistics stack_store::statistics() {
    const std::lock_guard lock(mutex_);
    stack_statistics r;
    for_each_slot([&](slot& s) {
        r.resident += s.slab->measure(s);
        deepest_ = std::max(deepest_, s.deepest);
        if (s.in_use && !is_idle(s)) {
            ++r.in_use;
        } else {
            ++r.idle;
        }
    });
    for (const size_class& c : classes_) {
        for (const stack_slab* slab = c.slabs; slab != nullptr; slab = slab->next) {
            r.mapped += slab->mapped();
        }
    }
    r.most_in_use = most_taken_;
    r.deepest_use = deepest_;
    r.released = released_;
    r.refused = refused_;
    return r;
}

void stack_store::lock_all() noexcept {
    registry_mutex().lock();
    for (stack_store* s = first_store(); s != nullptr; s = s->next_) {
        s->mutex_.lock();
    }
}

void stack_store::unlock_all() noexcept {
    for (stack_store* s = first_store(); s != nullptr; s = s->next_) {
        s->mutex_.unlock();
    }
    registry_mutex().unlock();
}

}  // namespace rung::detail
