/// Name look-up on helper threads: the C library's resolver knows no other way than to wait.

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <condition_variable>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/name_lookup.hpp>
#include <system_error>
#include <thread>

#include "fork_guarded.hpp"
#include "scheduler.hpp"

namespace rung::detail {

name_question::name_question(std::string host_name, std::string service_name,
                             const addrinfo& wanted)
    : reverse(false), host(std::move(host_name)), service(std::move(service_name)), hints(wanted) {}

name_question::name_question(const void* address_bytes, socklen_t address_size,
                             int socket_type) noexcept
    : reverse(true), size(std::min<socklen_t>(address_size, sizeof address)), type(socket_type) {
    std::memcpy(&address, address_bytes, size);
}

name_question::~name_question() {
    if (addresses != nullptr) {
        ::freeaddrinfo(addresses);
    }
}

void name_question::answer() noexcept {
    if (!reverse) {
        socket_ops::getaddrinfo(host.c_str(), service.c_str(), hints, &addresses, error);
        return;
    }
    std::array<char, NI_MAXHOST> host_name{};
    std::array<char, NI_MAXSERV> service_name{};
    socket_ops::sync_getnameinfo(&address, size, host_name.data(), host_name.size(),
                                 service_name.data(), service_name.size(), type, error);
    try {
        host = host_name.data();
        service = service_name.data();
    } catch (const std::bad_alloc&) {
        error = boost::asio::error::no_memory;
    }
}

bool name_question::is_numeric() const noexcept {
    if (reverse) {
        return false;
    }
    const bool number =
        std::all_of(service.begin(), service.end(), [](char c) { return c >= '0' && c <= '9'; });
    in6_addr bytes{};
    return number && (host.empty() || ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
                      ::inet_pton(AF_INET6, host.c_str(), &bytes) == 1);
}

std::shared_ptr<name_question> name_question::repeat() const {
    auto same = reverse ? std::make_shared<name_question>(&address, size, type)
                        : std::make_shared<name_question>(host, service, hints);
    same->asker = asker;
    return same;
}

namespace {

/// No signal handler of the program is to run on a helper thread, as on those of Asio.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;

private:
    sigset_t before_{};
};

/// The lookups of one context and the threads that see to them.
class lookup_pool final : public boost::asio::execution_context::service, private fork_guarded {
public:
    using key_type = lookup_pool;
    static boost::asio::execution_context::id id;

    explicit lookup_pool(boost::asio::execution_context& c) : service(c) {
        join_forks(order::lookups);
    }
    ~lookup_pool() override {
        leave_forks();
        join();
    }

    void start(scheduler& s, lookup_list& list, lookup_operation* op, cancel_link* link) noexcept;
    void cancel_all(scheduler& s, lookup_list& list) noexcept;
    void move(lookup_list& to, lookup_list& from) noexcept;
    void cancel(cancel_link& link) noexcept;
    void unlink(cancel_link& link) noexcept;

private:
    struct helper {
        std::thread thread;
        std::shared_ptr<name_question> at;  // what it looks up
    };

    void shutdown() override;
    void notify_fork(boost::asio::execution_context::fork_event event) override;
    void lock_for_fork() noexcept override { mutex_.lock(); }
    void go_on() noexcept override { mutex_.unlock(); }
    void go_on_alone() noexcept override;
    void join();
    void add_thread(scheduler& s);
    void serve(scheduler& s, helper& self);
    static void leave(lookup_operation* op) noexcept;
    static void end(scheduler& s, lookup_operation* op) noexcept;
    static void abort(scheduler& s, lookup_operation* op) noexcept;
    std::shared_ptr<name_question> next_question() noexcept;

    std::mutex mutex_;  // guards everything below, lists and links
    std::condition_variable asked_;
    std::shared_ptr<name_question> first_;  // the queue
    name_question* last_ = nullptr;
    std::size_t waiting_ = 0;  // in the queue
    std::size_t idle_ = 0;     // threads without a question
    bool stopping_ = false;
    bool over_ = false;  // the context is being destroyed
    scheduler* engine_ = nullptr;
    std::list<helper> helpers_;
    bool forked_ = false;  // in the child of a fork that has not been told
};

boost::asio::execution_context::id lookup_pool::id;

lookup_pool& pool_of(scheduler& s) {
    return boost::asio::use_service<lookup_pool>(
        static_cast<boost::asio::execution_context&>(s.context()));
}

void lookup_pool::start(scheduler& s, lookup_list& list, lookup_operation* op,
                        cancel_link* link) noexcept {
    const std::lock_guard lock(mutex_);
    if (over_) {
        op->question.reset();
        engine::post(s, op);
        return;
    }
    engine::work_started(s);
    engine_ = &s;
    op->question->asker = op;
    op->after = list.front;
    op->before = &list.front;
    if (list.front != nullptr) {
        list.front->before = &op->after;
    }
    list.front = op;
    if (link != nullptr) {
        link->op.store(op, std::memory_order_release);
        op->link = link;
    }
    (first_ == nullptr ? first_ : last_->next) = op->question;
    last_ = op->question.get();
    ++waiting_;
    if (!stopping_ && waiting_ > idle_ && helpers_.size() < s.options().resolver_threads) {
        add_thread(s);
    }
    asked_.notify_one();
}

/// One thread more, if the system has one to give. Without any, the queue fails.
void lookup_pool::add_thread(scheduler& s) {
    try {
        const signals_blocked none;
        helper& h = helpers_.emplace_back();
        try {
            h.thread = std::thread([this, &s, &h] { serve(s, h); });
        } catch (...) {
            helpers_.pop_back();
            throw;
        }
    } catch (const std::exception&) {
        while (helpers_.empty() && first_ != nullptr) {
            const auto question = next_question();
            question->error = boost::asio::error::try_again;
            if (question->asker != nullptr) {
                end(s, question->asker);
            }
        }
    }
}

std::shared_ptr<name_question> lookup_pool::next_question() noexcept {
    auto question = std::move(first_);
    first_ = std::move(question->next);
    --waiting_;
    return question;
}

void lookup_pool::serve(scheduler& s, helper& self) {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        asked_.wait(lock, [this] { return stopping_ || first_ != nullptr; });
        --idle_;
        if (stopping_) {
            return;
        }
        const auto question = next_question();
        if (question->asker == nullptr) {
            continue;
        }
        self.at = question;
        lock.unlock();
        question->answer();
        lock.lock();
        self.at.reset();
        if (question->asker != nullptr) {
            end(s, question->asker);
        }
    }
}

/// Takes an operation off its list and parts it from its question's thread and its slot.
void lookup_pool::leave(lookup_operation* op) noexcept {
    op->question->asker = nullptr;
    *op->before = op->after;
    if (op->after != nullptr) {
        op->after->before = op->before;
    }
    op->unlink_slot();
}

void lookup_pool::end(scheduler& s, lookup_operation* op) noexcept {
    leave(op);
    engine::post(s, op);
    engine::work_finished(s);
}

/// Ends an operation without its answer.
void lookup_pool::abort(scheduler& s, lookup_operation* op) noexcept {
    leave(op);
    op->question.reset();
    engine::post(s, op);
    engine::work_finished(s);
}

void lookup_pool::cancel_all(scheduler& s, lookup_list& list) noexcept {
    const std::lock_guard lock(mutex_);
    while (lookup_operation* const op = list.front) {
        abort(s, op);
    }
}

void lookup_pool::move(lookup_list& to, lookup_list& from) noexcept {
    const std::lock_guard lock(mutex_);
    to.front = std::exchange(from.front, nullptr);
    if (to.front != nullptr) {
        to.front->before = &to.front;
    }
}

void lookup_pool::cancel(cancel_link& link) noexcept {
    scheduler& s = *link.engine;
    const std::lock_guard lock(mutex_);
    auto* const op = static_cast<lookup_operation*>(link.op.load(std::memory_order_relaxed));
    if (op != nullptr) {
        abort(s, op);
    }
}

void lookup_pool::unlink(cancel_link& link) noexcept {
    const std::lock_guard lock(mutex_);
    if (linked_operation* const op = link.op.load(std::memory_order_relaxed)) {
        op->unlink_slot();
    }
}

/// Waits for the threads to end, each with the lookup that it is at.
void lookup_pool::join() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    asked_.notify_all();
    for (helper& h : helpers_) {
        h.thread.join();
    }
    helpers_.clear();
}

void lookup_pool::shutdown() {
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
        while (first_ != nullptr) {
            if (const auto question = next_question(); question->asker != nullptr) {
                end(*engine_, question->asker);  // to be destroyed with what else is queued
            }
        }
    }
    join();
}

/// In the child the threads do not exist: what they were at is in the queue again.
void lookup_pool::go_on_alone() noexcept {
    forked_ = true;
    idle_ = 0;
    std::construct_at(&asked_);  // it would wait for the threads that wait for it
    for (helper& h : helpers_) {
        if (h.at != nullptr && h.at->asker != nullptr) {
            try {
                auto question = h.at->repeat();
                question->asker->question = question;
                last_ = first_ == nullptr ? question.get() : last_;
                question->next = std::exchange(first_, question);
                ++waiting_;
            } catch (const std::bad_alloc&) {
                // Then it can still be cancelled.
            }
        }
        h.thread.detach();
    }
    helpers_.clear();
    mutex_.unlock();
}

void lookup_pool::notify_fork(boost::asio::execution_context::fork_event event) {
    const std::lock_guard lock(mutex_);
    const bool told = event == boost::asio::execution_context::fork_child;
    if (told && std::exchange(forked_, false) && first_ != nullptr) {
        add_thread(*engine_);
    }
}

}  // namespace

namespace lookups {

void prepare(scheduler& s) { static_cast<void>(pool_of(s)); }

void start(scheduler& s, lookup_list& list, lookup_operation* op, cancel_link* link) noexcept {
    if (op->question->is_numeric()) {
        op->question->answer();
        engine::post(s, op);
    } else {
        pool_of(s).start(s, list, op, link);
    }
}

void cancel_all(scheduler& s, lookup_list& list) noexcept { pool_of(s).cancel_all(s, list); }
void move(scheduler& s, lookup_list& to, lookup_list& from) noexcept { pool_of(s).move(to, from); }
void cancel(cancel_link& link) noexcept { pool_of(*link.engine).cancel(link); }
void unlink(cancel_link& link) noexcept { pool_of(*link.engine).unlink(link); }

}  // namespace lookups

}  // namespace rung::detail
